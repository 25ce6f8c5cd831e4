using System.Text.Json;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>What machine.json of a saved state holds (docs/saved-state.md). The contents of memory lie in files beside it.</summary>
internal sealed record SavedMachine
{
    /// <summary>Raised when an older build would misread.</summary>
    public const int CurrentSchema = 1;

    public const string FileName = "machine.json";

    /// <summary>Bytes; a machine with 64 vCPUs and a full set of devices needs a fraction.</summary>
    public const int MaximumLength = 16 << 20;

    public const int MaximumDepth = 32;

    public required int Schema { get; init; }

    /// <summary>Engine that executed the guest; any other may take over.</summary>
    public required string Engine { get; init; }

    /// <summary>When the state was taken, for people.</summary>
    public required DateTimeOffset SavedAt { get; init; }

    /// <summary>Nanoseconds of VM time.</summary>
    public required long Clock { get; init; }

    /// <summary>When that time began to stand still; null in states of builds that did not write it down, for which <see cref="SavedAt"/> comes near.</summary>
    public DateTimeOffset? ClockStoppedAt { get; init; }

    public required JsonElement Spec { get; init; }

    /// <summary>The processor that the guest met, and goes on with. States of builds that did not choose have none.</summary>
    public CpuDescription? Cpu { get; init; }

    /// <summary>By vCPU index.</summary>
    public required IReadOnlyList<JsonElement> Vcpus { get; init; }

    public required InterruptControllerState InterruptControllers { get; init; }

    public required IReadOnlyList<DeviceState> Devices { get; init; }

    public required IReadOnlyList<SavedRegion> Memory { get; init; }
}

/// <param name="Name">Name of the region; unique in the machine.</param>
/// <param name="Size">Bytes, also of the file.</param>
/// <param name="File">Name of the file with the contents, beside machine.json. Sparse.</param>
internal sealed record SavedRegion(string Name, ulong Size, string File);
