namespace WebVm.Vmm.Devices.Chipset.Clock;

/// <summary>Bytes of the MC146818A and their bits (Motorola MC146818A data sheet), and what a PC keeps in its memory.</summary>
internal static class RtcRegister
{
    public const int Seconds = 0x00;
    public const int SecondsAlarm = 0x01;
    public const int Minutes = 0x02;
    public const int MinutesAlarm = 0x03;
    public const int Hours = 0x04;
    public const int HoursAlarm = 0x05;
    public const int DayOfWeek = 0x06;
    public const int DayOfMonth = 0x07;
    public const int Month = 0x08;
    public const int Year = 0x09;
    public const int A = 0x0a;
    public const int B = 0x0b;
    public const int C = 0x0c;
    public const int D = 0x0d;

    /// <summary>Century, where the FADT says that it is.</summary>
    public const int Century = 0x32;

    public const int Equipment = 0x14;
    public const int BaseMemory = 0x15;
    public const int ExtendedMemory = 0x17;
    public const int ChecksumFirst = 0x10;
    public const int ChecksumLast = 0x2d;
    public const int Checksum = 0x2e;
    public const int ExtendedMemoryCopy = 0x30;
    public const int MemoryAbove16M = 0x34;
    public const int MemoryAbove4G = 0x5b;

    /// <summary>A: an update of the time is about to happen.</summary>
    public const byte UpdateInProgress = 1 << 7;

    /// <summary>B: time stands still while it is being set.</summary>
    public const byte Set = 1 << 7;

    /// <summary>Enables of B, flags of C.</summary>
    public const byte Periodic = 1 << 6;
    public const byte Alarm = 1 << 5;
    public const byte Update = 1 << 4;
    public const byte Interrupts = Periodic | Alarm | Update;

    public const byte SquareWave = 1 << 3;
    public const byte Binary = 1 << 2;
    public const byte Hours24 = 1 << 1;

    /// <summary>C: one of the enabled flags is set.</summary>
    public const byte InterruptRequest = 1 << 7;

    /// <summary>D: the battery is well.</summary>
    public const byte ValidRam = 1 << 7;

    public static bool IsTime(int index) => index is Seconds or Minutes or Hours or (>= DayOfWeek and <= Year) or Century;
}
