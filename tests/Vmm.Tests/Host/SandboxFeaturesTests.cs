using System.Runtime.InteropServices;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

public sealed class SandboxFeaturesTests
{
    [Fact]
    public void User_namespaces_that_a_filter_refuses_are_not_there()
    {
        Assert.SkipUnless(SandboxFeatures.Probe().UserNamespaces, "this host refuses user namespaces already");
        bool installed = false, there = true;
        // A filter of the thread's own ends with it.
        var thread = new Thread(() =>
        {
            installed = Install(new SystemCallFilter().Fail(SystemCall.SYS_unshare, ErrorNumber.EPERM, "as in a container"));
            there = SandboxFeatures.Probe().UserNamespaces;
        });
        thread.Start();
        thread.Join();
        Assert.True(installed);
        Assert.False(there);
        Assert.True(SandboxFeatures.Probe().UserNamespaces);
    }

    private static unsafe bool Install(SystemCallFilter filter)
    {
        var program = filter.Assemble(SeccompCalls.SECCOMP_RET_ALLOW);
        fixed (sock_filter* first = program)
        {
            var installed = new sock_fprog { len = (ushort)program.Length, filter = first };
            return RawCalls.Call(SystemCall.SYS_prctl, ThreadCalls.PR_SET_NO_NEW_PRIVS, 1) == 0
                && RawCalls.Call(SystemCall.SYS_seccomp, (nint)SeccompCalls.SECCOMP_SET_MODE_FILTER, 0, (nint)(&installed)) == 0;
        }
    }
}
