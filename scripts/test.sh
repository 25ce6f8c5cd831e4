# ./webvm test [--long] [FILTER]: builds everything, runs each test project, prints one total as the last line.

explicit=off
filter=
while [[ $# -gt 0 ]]; do
    case "$1" in
        --long) explicit=on ;;
        -*) fail "unknown option '$1' (there is --long)" ;;
        *) [[ -z $filter ]] || fail "one filter at most"; filter=$1 ;;
    esac
    shift
done

need_web
need_packages "the service keeps its state in a private PostgreSQL cluster" postgresql:/usr/lib/postgresql postgresql-client:psql
need_packages "trying the pages in a real browser" chromium:/usr/bin/chromium
need_packages "using the pages through a reverse proxy" nginx-light:nginx
need_packages "booting what our loaders prepare on another virtual machine monitor" qemu-system-x86:qemu-system-x86_64
need_packages "compiling C against the kernel's headers proves our bindings, and native monitors" gcc:gcc libc6-dev:/usr/include/linux/kvm.h zlib1g-dev:/usr/include/zlib.h
need_packages "assembling small guests" nasm:nasm
need_packages "checking ACPI tables with the reference compiler" acpica-tools:iasl
need_packages "reading SMBIOS tables as guests do" dmidecode:dmidecode

# The attacker that monitors' walls are tried with is a native program, as they are.
make_attacker() {
    local log
    log=$(mktemp)
    dotnet publish "$WEBVM_ROOT/tests/Attacker/Attacker.csproj" -c Release -r linux-x64 -p:PublishAot=true -p:RunAnalyzers=false -o "$WEBVM_ROOT/tests/Attacker/bin/native" -v q -clp:ErrorsOnly \
        -nodeReuse:false >"$log" 2>&1 || build_failed tests/Attacker/Attacker.csproj "$log"
    rm -f "$log"
}

check_code=true
# Tests start machines as services do: with a native monitor, which is compiled beside the rest.
begin_installed_monitor
build WebVm.sln || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }

# The guests' images come first, so that a test's time is its own. Without network, tests use what the cache holds.
if [[ -d $WEBVM_ROOT/tests/Guest.Tests && -f $WEBVM_ROOT/scripts/image.sh ]]; then
    for image in tiny generic memtest; do
        "$WEBVM_ROOT/webvm" image build "$image" || note "no image '$image'; tests that boot it will fail"
    done
fi

[[ -n $filter && $filter != *Attack* && $filter != *Keeper* ]] || make_attacker
end_installed_monitor || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }

# For the line before the last.
took="building $SECONDS s"

passed=0 failed=0 skipped=0
results=$(mktemp -d)
declare -A process ended
trap 'kill "${process[@]}" 2>/dev/null || true; rm -rf "$results"' EXIT
trap 'exit 130' INT TERM
# A test project as a whole may not take longer than this (seconds); single tests have limits of their own.
limit=$([[ $explicit == on ]] && echo 14400 || echo 2400)

# Begins a project's tests, whose processes are ended with this one.
begin_tests() {
    local project=$WEBVM_ROOT/tests/$1 arguments=(-noLogo -noColor -explicit "$explicit" -xml "$results/$1.xml")
    [[ -z $filter ]] || arguments+=(-class "*$filter*")
    note "running $1"
    (cd "$project" && exec timeout --kill-after=10 "$limit" "$project/bin/Release/net10.0/$1" "${arguments[@]}") &
    process[$1]=$!
}

# Waits for their end; a trap is heard meanwhile.
end_tests() {
    ended[$1]=0
    wait "${process[$1]}" || ended[$1]=$?
    unset "process[$1]"
}

count_tests() {
    local status=${ended[$1]} totals errors
    totals=$(grep -o '<assembly [^>]*>' "$results/$1.xml" 2>/dev/null | head -n 1 || true)
    count() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$totals"; }
    if [[ -z $totals ]]; then
        note "$1 ended with $status and left no result (a limit of $limit s applies)"
        failed=$((failed + 1))
        return
    fi
    took+=", $1 $(sed -n 's/.* time="\([0-9]*\).*/\1/p' <<<"$totals") s"
    errors=$(count errors)
    passed=$((passed + $(count passed)))
    failed=$((failed + $(count failed) + ${errors:-0}))
    skipped=$((skipped + $(count skipped)))
    if [[ $status -ne 0 && $(($(count failed) + ${errors:-0})) -eq 0 && $(count total) -gt 0 ]]; then
        note "$1 ended with $status although no test failed"
        failed=$((failed + 1))
    fi
}

for project in Api.Tests Vmm.Tests; do
    begin_tests "$project"
    end_tests "$project"
done
if [[ $explicit == on ]]; then
    for project in Guest.Tests Web.Tests; do
        begin_tests "$project"
        end_tests "$project"
    done
else
    # Neither runs two tests at once, because of the times in them: each has a processor of its own, most of the time.
    begin_tests Guest.Tests >"$results/Guest.Tests.out" 2>&1
    begin_tests Web.Tests
    end_tests Web.Tests
    end_tests Guest.Tests
    cat "$results/Guest.Tests.out"
fi
for project in Api Vmm Guest Web; do
    count_tests "$project.Tests"
done

if [[ $((passed + failed)) -eq 0 ]]; then
    note "no test ran"
    failed=1
fi
note "$took"
echo
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
