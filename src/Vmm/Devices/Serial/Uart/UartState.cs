namespace WebVm.Vmm.Devices.Serial.Uart;

/// <summary>Saved state of a 16550.</summary>
public sealed record UartState
{
    public required byte InterruptEnable { get; init; }

    public required byte FifoControl { get; init; }

    public required byte LineControl { get; init; }

    public required byte ModemControl { get; init; }

    /// <summary>Error bits of the line status register; the others follow from the FIFOs.</summary>
    public required byte LineErrors { get; init; }

    public required byte ModemStatus { get; init; }

    public required byte Scratch { get; init; }

    public required ushort Divisor { get; init; }

    /// <summary>The "transmitter holding register empty" interrupt is pending.</summary>
    public required bool TransmitterInterrupt { get; init; }

    /// <summary>Received and not yet read, at most 16 bytes.</summary>
    public required byte[] Received { get; init; }

    /// <summary>Written and not yet taken by the back end, at most 16 bytes.</summary>
    public required byte[] Transmitting { get; init; }
}
