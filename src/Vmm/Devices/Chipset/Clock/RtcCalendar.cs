using R = WebVm.Vmm.Devices.Chipset.Clock.RtcRegister;

namespace WebVm.Vmm.Devices.Chipset.Clock;

/// <summary>Between a moment and the clock's registers, in the format that register B asks for.</summary>
internal readonly struct RtcCalendar(byte registerB)
{
    private const byte Afternoon = 0x80;

    private bool Binary => (registerB & R.Binary) != 0;

    private bool Hours24 => (registerB & R.Hours24) != 0;

    /// <summary>One time register at that moment.</summary>
    public byte Read(int index, DateTime time) => index switch
    {
        R.Seconds => Encode(time.Second),
        R.Minutes => Encode(time.Minute),
        R.Hours => EncodeHour(time.Hour),
        R.DayOfWeek => Encode((int)time.DayOfWeek + 1),
        R.DayOfMonth => Encode(time.Day),
        R.Month => Encode(time.Month),
        R.Year => Encode(time.Year % 100),
        _ => Encode(time.Year / 100),
    };

    /// <summary>The second that the registers name. What is no date, like a 31st of June, runs on into the next month.</summary>
    public DateTime Compose(ReadOnlySpan<byte> registers)
    {
        int year = (Decode(registers[R.Century]) * 100) + Decode(registers[R.Year]);

        // Whatever a guest writes, room is left for the carry from the other fields.
        return new DateTime(Math.Clamp(year, 1, 9900), 1, 1, 0, 0, 0, DateTimeKind.Utc)
            .AddMonths(Math.Max(Decode(registers[R.Month]), 1) - 1)
            .AddDays(Math.Max(Decode(registers[R.DayOfMonth]), 1) - 1)
            .AddHours(DecodeHour(registers[R.Hours]))
            .AddMinutes(Decode(registers[R.Minutes]))
            .AddSeconds(Decode(registers[R.Seconds]));
    }

    /// <summary>Whether the alarm registers name that second; a register of 0xc0 and up matches all.</summary>
    public bool AlarmMatches(ReadOnlySpan<byte> registers, DateTime time) =>
        Matches(registers[R.SecondsAlarm], Encode(time.Second))
        && Matches(registers[R.MinutesAlarm], Encode(time.Minute))
        && Matches(registers[R.HoursAlarm], EncodeHour(time.Hour));

    private static bool Matches(byte alarm, byte value) => alarm >= 0xc0 || alarm == value;

    private byte Encode(int value) => (byte)(Binary ? value : (value / 10 << 4) | (value % 10));

    private int Decode(byte value) => Binary ? value : ((value >> 4) * 10) + (value & 0xf);

    private byte EncodeHour(int hour)
    {
        if (Hours24)
        {
            return Encode(hour);
        }

        byte value = Encode(hour % 12 == 0 ? 12 : hour % 12);
        return hour >= 12 ? (byte)(value | Afternoon) : value;
    }

    private int DecodeHour(byte value)
    {
        if (Hours24)
        {
            return Decode(value);
        }

        int hour = Decode((byte)(value & ~Afternoon)) % 12;
        return (value & Afternoon) != 0 ? hour + 12 : hour;
    }
}
