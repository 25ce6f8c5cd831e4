using System.Globalization;

namespace WebVm.Vmm.Settings;

/// <summary>Sizes as people write them: "512M", "2G", "1048576", "64KiB". Powers of 1024.</summary>
public static class ByteSize
{
    private static readonly string[] s_units = ["", "K", "M", "G", "T"];

    public static bool TryParse(string text, out ulong bytes)
    {
        bytes = 0;
        string trimmed = text.Trim();
        int digits = 0;
        while (digits < trimmed.Length && char.IsAsciiDigit(trimmed[digits]))
        {
            digits++;
        }

        string unit = trimmed[digits..].ToUpperInvariant();
        unit = unit is "" or "B" ? "" : unit.TrimEnd('B').TrimEnd('I');
        int power = Array.IndexOf(s_units, unit);
        if (power < 0 || !ulong.TryParse(trimmed.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            || number > ulong.MaxValue >> (10 * power))
        {
            return false;
        }

        bytes = number << (10 * power);
        return true;
    }

    /// <summary>The shortest exact form: "512M", "4097".</summary>
    public static string Format(ulong bytes)
    {
        int power = 0;
        while (bytes != 0 && bytes % 1024 == 0 && power < s_units.Length - 1)
        {
            bytes /= 1024;
            power++;
        }

        return bytes.ToString(CultureInfo.InvariantCulture) + s_units[power];
    }
}
