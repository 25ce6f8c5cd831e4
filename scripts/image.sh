# ./webvm image build|list|path: guest images made from Debian's packages, kept in the cache.
#
# An image is a folder of the cache with the files, a SHA256SUMS and a README naming its packages. It is made beside its
# place and moved there when complete; when it is there and its checksums hold, nothing is downloaded and nothing rebuilt.

images="$(cache_directory)/images"
packages="$(cache_directory)/packages"
recipe_version=1
work=

known() {
    case "$1" in
        tiny | generic | memtest) ;;
        *) fail "unknown image '$1'; there are tiny, generic and memtest" ;;
    esac
}

# Whether the image is there, made by this recipe, and undamaged.
valid() {
    [[ -f $images/$1/SHA256SUMS && $(cat "$images/$1/recipe" 2>/dev/null) == "$recipe_version-$(recipe_digest "$1")" ]] \
        && (cd "$images/$1" && sha256sum --quiet --strict -c SHA256SUMS) >/dev/null 2>&1
}

# A change to what goes into an image makes it be built anew.
recipe_digest() {
    find "$WEBVM_ROOT/scripts/tiny" "$WEBVM_ROOT/scripts/image.sh" -type f -exec sha256sum {} + | awk '{print $1}' | sort | sha256sum | cut -c 1-16
}

# fetch PACKAGE: the path of its .deb, downloaded and verified by apt, or the cached one when there is no network.
fetch() {
    local package=$1 found
    mkdir -p "$packages"
    found=$(find "$packages" -name "${package}_*.deb" | sort -V | tail -n 1)
    if [[ -z $found ]]; then
        note "downloading $package"
        local log
        log=$(mktemp)
        if ! (cd "$packages" && apt-get download "$package") >"$log" 2>&1; then
            refresh_lists
            (cd "$packages" && apt-get download "$package") >"$log" 2>&1 || { tail -n 5 "$log" >&2; rm -f "$log"; fail_host "could not download $package; is a mirror of Debian's packages reachable (apt-get update)?"; }
        fi
        rm -f "$log"
        found=$(find "$packages" -name "${package}_*.deb" | sort -V | tail -n 1)
    fi
    printf '%s\n' "$found"
}

refresh_lists() {
    local as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 || true
}

# The real package behind a kernel's metapackage, such as linux-image-6.1.0-9-cloud-amd64.
kernel_package() {
    local meta=$1 flavour=${1#linux-image-} real
    real=$(apt-cache depends "$meta" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
    if [[ -z $real ]]; then
        refresh_lists
        real=$(apt-cache depends "$meta" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
    fi
    # Without package lists, one that was downloaded before will do.
    if [[ -z $real ]]; then
        real=$(find "$packages" -name 'linux-image-[0-9]*.deb' -printf '%f\n' 2>/dev/null | sed 's/_.*//' \
            | grep -E "^linux-image-[0-9][0-9.]*-[0-9]+-$flavour\$" | sort -V | tail -n 1)
    fi
    [[ -n $real ]] || fail_host "apt knows no $meta; is a mirror of Debian's packages reachable (apt-get update)?"
    printf '%s\n' "$real"
}

# extract_kernel DEB DIRECTORY: vmlinuz, config, and vmlinux when the kernel inside is LZ4 or XZ.
extract_kernel() {
    local deb=$1 to=$2 unpacked
    unpacked=$(mktemp -d "$to/.deb.XXXXXX")
    dpkg-deb -x "$deb" "$unpacked"
    cp "$unpacked"/boot/vmlinuz-* "$to/vmlinuz"
    cp "$unpacked"/boot/config-* "$to/config"
    printf '%s\n' "$unpacked"
}

# The ELF kernel inside a bzImage: payload_offset and payload_length of the setup header (Documentation/x86/boot.rst).
extract_vmlinux() {
    local image=$1 to=$2 sectors offset length magic
    sectors=$(od -An -tu1 -j 497 -N 1 "$image" | tr -d ' ')
    offset=$(od -An -tu4 -j 584 -N 4 "$image" | tr -d ' ')
    length=$(od -An -tu4 -j 588 -N 4 "$image" | tr -d ' ')
    offset=$((offset + (sectors + 1) * 512))
    magic=$(od -An -tx4 -j "$offset" -N 4 "$image" | tr -d ' ')
    local decompress
    case "$magic" in
        184c2102) decompress="lz4 -dc" ;;
        587a37fd) decompress="xz -dc" ;;
        fd2fb528) decompress="zstd -dcq" ;;
        *) return 0 ;;
    esac
    # The payload ends with the size of what is inside, which decompressors report as trailing garbage.
    tail -c "+$((offset + 1))" "$image" | head -c "$((length - 4))" | $decompress >"$to" 2>/dev/null || true
    [[ $(head -c 4 "$to" | od -An -tx1 | tr -d ' ') == 7f454c46 ]] || rm -f "$to"
}

# initramfs DEB-TREE OUTPUT: busybox and scripts/tiny, with the few modules that Debian does not build in.
initramfs() {
    local tree=$1 output=$2 root
    root=$(mktemp -d "$(dirname "$output")/.root.XXXXXX")
    mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,root,etc,lib/modules,mnt}
    local deb unpacked
    deb=$(fetch busybox-static)
    unpacked=$(mktemp -d "$(dirname "$output")/.busybox.XXXXXX")
    dpkg-deb -x "$deb" "$unpacked"
    ln -s bin "$root/sbin"
    cp "$unpacked/bin/busybox" "$root/bin/busybox"
    local applet
    while read -r applet; do
        [[ $applet == busybox ]] || ln -sf /bin/busybox "$root/bin/$applet"
    done < <("$root/bin/busybox" --list)
    rm -rf "$unpacked"
    cp -r "$WEBVM_ROOT/scripts/tiny/." "$root/"
    chmod 755 "$root/init" "$root/etc/session" "$root/etc/acpi/power-button"
    local module
    for module in drivers/acpi/button drivers/input/evdev; do
        for file in "$tree"/lib/modules/*/kernel/"$module".ko*; do
            [[ ! -e $file ]] || cp "$file" "$root/lib/modules/"
        done
    done
    (cd "$root" && find . -mindepth 1 -print0 | LC_ALL=C sort -z \
        | xargs -0 touch -h -d @0 && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$output"
    rm -rf "$root"
}

# finish DIRECTORY NAME PACKAGES...: checksums, then into place.
finish() {
    local directory=$1 name=$2
    shift 2
    find "$directory" -mindepth 1 -maxdepth 1 -name '.*' -exec rm -rf {} +
    printf '%s\n' "$recipe_version-$(recipe_digest "$name")" >"$directory/recipe"
    { echo "Made by ./webvm image build $name from these Debian packages:"; printf '  %s\n' "${@##*/}"; } >"$directory/README"
    (cd "$directory" && find . -type f ! -name SHA256SUMS ! -name .sums -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum) >"$directory/.sums"
    mv "$directory/.sums" "$directory/SHA256SUMS"
    rm -rf "${images:?}/$name"
    chmod 755 "$directory"
    mv "$directory" "$images/$name"
    note "image $name is in $images/$name"
}

build_image() {
    local name=$1 kernel tree
    known "$name"
    # Whoever serves it may be somebody else.
    umask 022
    mkdir -p "$images"
    exec 8>"$images/.lock"
    flock 8
    if valid "$name"; then
        printf '%s\n' "$images/$name"
        return
    fi
    note "building image $name"
    need_packages "unpacking Debian packages and writing the initramfs" cpio:cpio lz4:lz4 xz-utils:xz
    work=$(mktemp -d "$images/.$name.XXXXXX")
    trap 'rm -rf "${work:-}"' EXIT
    case "$name" in
        memtest)
            kernel=$(fetch memtest86+)
            tree=$(mktemp -d "$work/.deb.XXXXXX")
            dpkg-deb -x "$kernel" "$tree"
            cp "$tree/boot/memtest86+x64.bin" "$tree/boot/memtest86+ia32.bin" "$work/"
            finish "$work" "$name" "$kernel"
            ;;
        tiny | generic)
            local meta=linux-image-cloud-amd64
            [[ $name == tiny ]] || meta=linux-image-amd64
            kernel=$(fetch "$(kernel_package "$meta")")
            tree=$(extract_kernel "$kernel" "$work")
            extract_vmlinux "$work/vmlinuz" "$work/vmlinux"
            initramfs "$tree" "$work/initramfs"
            finish "$work" "$name" "$kernel" "$(fetch busybox-static)"
            ;;
    esac
    printf '%s\n' "$images/$name"
}

action=${1:-}
shift || true
case "$action" in
    build)
        [[ $# -eq 1 ]] || fail "usage: ./webvm image build tiny|generic|memtest"
        build_image "$1"
        ;;
    list)
        [[ $# -eq 0 ]] || fail "usage: ./webvm image list"
        for name in tiny generic memtest; do
            [[ ! -d $images/$name ]] || (cd "$images/$name" && printf '%s\n' "$name" && find . -type f -printf '  %10s  %P\n' | sort -k 2)
        done
        ;;
    path)
        [[ $# -eq 1 ]] || fail "usage: ./webvm image path NAME"
        known "$1"
        [[ -d $images/$1 ]] || fail "image '$1' is not built; run: ./webvm image build $1"
        printf '%s\n' "$images/$1"
        ;;
    *)
        fail "usage: ./webvm image build NAME | list | path NAME"
        ;;
esac
