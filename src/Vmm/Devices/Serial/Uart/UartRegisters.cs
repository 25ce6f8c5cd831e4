namespace WebVm.Vmm.Devices.Serial.Uart;

/// <summary>Registers and bits of the 16550 (National Semiconductor PC16550D data sheet, table II).</summary>
internal static class UartRegisters
{
    public const int Data = 0; // RBR, THR; divisor low with DLAB
    public const int InterruptEnable = 1; // divisor high with DLAB
    public const int InterruptIdentification = 2; // FCR when written
    public const int LineControl = 3;
    public const int ModemControl = 4;
    public const int LineStatus = 5;
    public const int ModemStatus = 6;
    public const int Scratch = 7;
    public const int Count = 8;
}

[Flags]
internal enum UartInterrupts : byte
{
    DataAvailable = 1 << 0,
    TransmitterEmpty = 1 << 1,
    LineStatus = 1 << 2,
    ModemStatus = 1 << 3,
    All = DataAvailable | TransmitterEmpty | LineStatus | ModemStatus,
}

/// <summary>Values of the interrupt identification register's low four bits, most urgent first.</summary>
internal static class UartCause
{
    public const byte LineStatus = 0x6;
    public const byte DataAvailable = 0x4;
    public const byte CharacterTimeout = 0xc;
    public const byte TransmitterEmpty = 0x2;
    public const byte ModemStatus = 0x0;
    public const byte None = 0x1;
    public const byte FifosEnabled = 0xc0;
}

[Flags]
internal enum UartFifoControl : byte
{
    Enable = 1 << 0,
    ClearReceiver = 1 << 1,
    ClearTransmitter = 1 << 2,
    DmaMode = 1 << 3,
    TriggerMask = 3 << 6,
}

[Flags]
internal enum UartModemControl : byte
{
    DataTerminalReady = 1 << 0,
    RequestToSend = 1 << 1,
    Out1 = 1 << 2,
    /// <summary>On a PC this output gates the interrupt line.</summary>
    Out2 = 1 << 3,
    Loopback = 1 << 4,
    All = 0x1f,
}

[Flags]
internal enum UartLineStatus : byte
{
    DataReady = 1 << 0,
    Overrun = 1 << 1,
    ParityError = 1 << 2,
    FramingError = 1 << 3,
    Break = 1 << 4,
    HoldingEmpty = 1 << 5,
    TransmitterEmpty = 1 << 6,
    FifoError = 1 << 7,
    Errors = Overrun | ParityError | FramingError | Break,
}

[Flags]
internal enum UartModemStatus : byte
{
    DeltaClearToSend = 1 << 0,
    DeltaDataSetReady = 1 << 1,
    TrailingEdgeRing = 1 << 2,
    DeltaCarrier = 1 << 3,
    ClearToSend = 1 << 4,
    DataSetReady = 1 << 5,
    Ring = 1 << 6,
    Carrier = 1 << 7,
    Deltas = DeltaClearToSend | DeltaDataSetReady | TrailingEdgeRing | DeltaCarrier,
    Lines = ClearToSend | DataSetReady | Ring | Carrier,
}
