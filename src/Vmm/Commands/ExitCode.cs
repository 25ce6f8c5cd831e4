using WebVm.Vmm.Control;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Commands;

/// <summary>Exit codes of the process, besides those that a guest chooses (isa-debug-exit).</summary>
internal static class ExitCode
{
    public const int Success = 0;
    public const int BadInput = 2;

    /// <summary>Not 3, which is what a guest's debug exit with 1 gives.</summary>
    public const int GuestCrashed = Machine.Lifecycle.MachineExit.CrashCode;
    public const int HostFailed = 4;

    /// <summary>Runs a verb; a failure that the user or the host can cause becomes a message on standard error and a code.</summary>
    public static int Guard(Func<int> verb)
    {
        try
        {
            return verb();
        }
        catch (InvalidSpecException invalid)
        {
            return Fail(BadInput, [.. invalid.Faults.Select(fault => fault.ToString())]);
        }
        catch (BootException invalid)
        {
            return Fail(BadInput, Chain(invalid));
        }
        catch (ControlException refused)
        {
            return Fail(refused.Code == ControlErrorCode.Failed ? HostFailed : BadInput, refused.Message);
        }
        catch (InvalidDataException invalid)
        {
            return Fail(BadInput, invalid.Message.Split(Environment.NewLine));
        }
        catch (Exception failure) when (failure is EngineUnavailableException or LinuxException or IOException
            or UnauthorizedAccessException or OutOfMemoryException)
        {
            return Fail(HostFailed, Chain(failure));
        }
    }

    public static int Fail(int code, params string[] messages)
    {
        foreach (string message in messages)
        {
            Console.Error.WriteLine($"webvm-vmm: {message}");
        }

        return code;
    }

    private static string Chain(Exception failure) =>
        failure.InnerException is { } inner && !failure.Message.Contains(inner.Message, StringComparison.Ordinal)
            ? $"{failure.Message}: {inner.Message}"
            : failure.Message;
}
