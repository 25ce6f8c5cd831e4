namespace WebVm.Vmm.Host.Native;

/// <summary>
/// Arguments of seccomp(2), userfaultfd(2) and landlock_create_ruleset(2) by which they are asked whether they are there.
/// </summary>
[NativeConstants("linux/seccomp.h", "linux/userfaultfd.h", "linux/landlock.h")]
internal static class SandboxCalls
{
    public const uint SECCOMP_GET_ACTION_AVAIL = 2;
    public const int UFFD_USER_MODE_ONLY = 1;
    public const uint LANDLOCK_CREATE_RULESET_VERSION = 1;
}
