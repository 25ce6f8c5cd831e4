using WebVm.Vmm.Host;

namespace WebVm.Vmm.Cpu.Measurement;

/// <summary>What this host offers to virtual machines, measured and looked up, and the engine that suits it. Plain data for JSON.</summary>
public sealed record HostProbe
{
    /// <summary>
    /// Instructions per second at which the soft engine runs kernels. KVM is only worth it where its guests' privileged code is
    /// faster; where it is virtualized by hardware it is faster a hundredfold.
    /// </summary>
    public const double SoftEngineSpeed = 50e6;

    public required KvmProbe Kvm { get; init; }

    /// <summary>The soft engine's measured speed; null when its guest did not get through.</summary>
    public GuestSpeed? Soft { get; init; }

    /// <summary>The engine that "auto" takes here: "kvm" or "soft".</summary>
    public required string Engine { get; init; }

    /// <summary>Why.</summary>
    public required string Reason { get; init; }

    public required HostResources Resources { get; init; }

    public required SandboxFeatures Sandbox { get; init; }

    /// <summary>/dev/net/tun opens for reading and writing.</summary>
    public required bool Tun { get; init; }

    /// <summary>Looks at everything; takes a few ten milliseconds.</summary>
    public static HostProbe Measure()
    {
        var kvm = KvmProbe.Measure();
        var (engine, reason) = Choose(kvm);
        return new HostProbe
        {
            Kvm = kvm,
            Soft = GuestSpeedMeasurement.OnSoft(),
            Engine = engine,
            Reason = reason,
            Resources = HostResources.Read(),
            Sandbox = SandboxFeatures.Probe(),
            Tun = SandboxFeatures.CanOpen("/dev/net/tun"),
        };
    }

    private static readonly Lazy<(string Engine, string Reason)> s_choice = new(() => Choose(KvmProbe.Measure()));

    /// <summary>The engine for "auto", with the reason; takes a few milliseconds, once.</summary>
    public static (string Engine, string Reason) ChooseEngine() => s_choice.Value;

    private static (string Engine, string Reason) Choose(KvmProbe kvm)
    {
        if (kvm.Speed is not { } speed)
        {
            return ("soft", $"KVM cannot be used: {kvm.Unusable}");
        }

        if (!kvm.SystemCalls)
        {
            return ("soft", "KVM does not take the system calls of guests' programs to their kernels");
        }

        string measured = $"KVM runs privileged guest code at {InMillions(speed.Privileged)} million instructions a second";
        return speed.Privileged > SoftEngineSpeed
            ? ("kvm", measured)
            : ("soft", $"{measured}, so it emulates it, and the soft engine is faster");
    }

    private static string InMillions(double perSecond) =>
        (perSecond / 1e6).ToString(perSecond < 1e7 ? "F1" : "F0", System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>How fast a guest's code runs.</summary>
/// <param name="Privileged">Instructions a second of a loop at CPL 0, 64-bit code.</param>
/// <param name="Unprivileged">The same at CPL 3.</param>
/// <param name="ExitNanoseconds">From the guest's OUT to the monitor and back.</param>
public sealed record GuestSpeed(double Privileged, double Unprivileged, double ExitNanoseconds);
