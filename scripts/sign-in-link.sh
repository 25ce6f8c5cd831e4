# ./webvm sign-in-link: prints a new one-time sign-in link for the administrator of the service with this data folder (WEBVM_DATA), who lost
# the password. For whoever may write into that folder; the service may run or not.

[[ $# -eq 0 ]] || fail "sign-in-link takes no arguments; settings are variables: WEBVM_DATA=/srv/webvm ./webvm sign-in-link"
program=$WEBVM_ROOT/src/Web/bin/Release/net10.0/webvm
[[ -x $program ]] || fail "the service has not been built here; a published one prints the link by: webvm --sign-in-link"
exec "$program" --sign-in-link
