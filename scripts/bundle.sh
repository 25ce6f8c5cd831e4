# ./webvm doctor --bundle [FILE]: what somebody who is to help wants to see, in one archive, also when the service does not run. Nothing that
# opens anything is in it, and nothing of the guests: neither what they print nor their command lines.

support_bundle() {
    local file=$1 data=$2 listen=$3 work into log token=${WEBVM_TOKEN:-${WEBVM_ADMIN_TOKEN:-}}
    [[ ! -e $file ]] || fail "$file is there already"
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder is known here and no longer at the end
    trap "rm -rf '$work'" EXIT
    into=$work/webvm-support
    mkdir -m 700 "$into" "$into/monitors"
    "$WEBVM_ROOT/webvm" doctor >"$into/doctor.txt" 2>&1 || true
    { echo "WebVm $(version)"; uname -srvm; dotnet --version 2>&1 | sed 's/^/.NET SDK /'; sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null; } >"$into/versions.txt" || true
    # The monitor may have put anything there: only files, only their ends, and no waiting.
    for log in "$data"/run/*/monitor.log; do
        [[ ! -f $log || -L $log ]] || timeout 5 tail -c 65536 "$log" >"$into/monitors/$(basename "$(dirname "$log")").log" || true
    done
    [[ ! -f $data/postgres/postgresql.log ]] || tail -c 65536 "$data/postgres/postgresql.log" >"$into/postgresql.log" || true
    ! command -v journalctl >/dev/null || timeout 20 journalctl -u webvm -n 1000 --no-pager >"$into/service.log" 2>/dev/null || true
    support_events "$data" >"$into/events.csv" 2>"$into/events.txt" || echo "The events could not be read: the service's own database does not answer." >>"$into/events.txt"
    [[ -s $into/events.txt ]] || rm -f "$into/events.txt"
    if [[ -n $token ]] && command -v curl >/dev/null; then
        # By a file that is none: the token is not to be seen in the list of processes.
        curl -fsS --max-time 60 -H @<(printf 'Authorization: Bearer %s\n' "$token") "${listen%%;*}/api/v1/support-bundle" -o "$into/service.zip" 2>"$into/service.txt" || true
    else
        echo "With an administrator's token in WEBVM_TOKEN the bundle of the running service is here, too." >"$into/service.txt"
    fi
    [[ -s $into/service.txt ]] || rm -f "$into/service.txt"
    find "$into" -type f ! -name '*.zip' -exec sed -Ei "$(support_redaction)" {} +
    (umask 077; tar -czf "$file" -C "$work" webvm-support) || fail_host "$file could not be written"
    note "wrote $file; it has names of machines and people, and no secrets"
}

# The newest events of the private database, which whoever owns the data folder may read.
support_events() {
    local psql owner as=()
    [[ -z ${WEBVM_DATABASE:-} ]] || { echo "The events are in another database (WEBVM_DATABASE)." >&2; return 0; }
    psql=$(find /usr/lib/postgresql -path '*/bin/psql' 2>/dev/null | sort -V | tail -n 1)
    [[ -n $psql && -d $1/postgres/run ]] || return 1
    # The database lets in the service's account alone, whose the folder is.
    owner=$(stat -c %U "$1")
    [[ $(id -u) -ne 0 || $owner == root ]] || as=(runuser -u "$owner" --)
    timeout 20 "${as[@]}" "$psql" -X -q -h "$1/postgres/run" -U webvm webvm \
        -c "COPY (SELECT id, at, type, subject, message FROM events ORDER BY id DESC LIMIT 1000) TO STDOUT WITH CSV HEADER" </dev/null
}

# The same that the service takes out of its bundle (src/Api/Support/Redaction.cs), for sed.
support_redaction() {
    printf '%s' 's/wvm_[A-Za-z0-9_-]+/[removed]/g; '
    printf '%s' "s/((password|passwd|pwd|secret|token|ticket|code|authorization|cookie|api[-_]?key)[\"']?[[:space:]]*[=:][[:space:]]*[\"']?((Bearer|Basic)[[:space:]]+)?)[^[:space:];&,\"']+/\\1[removed]/Ig; "
    printf '%s' '/-----BEGIN [A-Z ]*PRIVATE KEY-----/,/-----END [A-Z ]*PRIVATE KEY-----/d'
}
