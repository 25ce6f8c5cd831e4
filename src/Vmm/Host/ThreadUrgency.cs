using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>Scheduling of threads that react at once and do next to nothing then (sched(7)).</summary>
internal static unsafe class ThreadUrgency
{
    /// <summary>
    /// Lets the calling thread run before all threads of ordinary scheduling. Needs CAP_SYS_NICE or RLIMIT_RTPRIO; without them
    /// nothing changes.
    /// </summary>
    public static bool TryRaise()
    {
        var lowest = new sched_param { sched_priority = 1 };
        return ThreadCalls.SetScheduler(0, LibC.SCHED_FIFO | LibC.SCHED_RESET_ON_FORK, &lowest) == 0;
    }
}
