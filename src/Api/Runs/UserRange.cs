using System.Globalization;

namespace WebVm.Api.Runs;

/// <summary>Uids (and gids of the same numbers) that monitors of a root service are given.</summary>
internal readonly record struct UserRange(uint First, uint Last)
{
    /// <summary>
    /// In the part of the number space that systemd's conventions leave unused (1879048192 to 2147483647, its "Users, Groups, UIDs and
    /// GIDs"), and above what Debian's useradd gives to containers as subordinate ids (100000 to 600100000, login.defs(5)).
    /// </summary>
    public const string Default = "2000000000-2000065535";

    // 2^31 and above are negative to programs that read them wrong; 65534 and 65535 are "nobody" and "no change" (chown(2)).
    private const uint Least = 65_536;
    private const uint Most = int.MaxValue;

    public uint Count => Last - First + 1;

    public bool Contains(uint user) => user >= First && user <= Last;

    /// <exception cref="FormatException">Not two numbers with a dash between, in order and of nobody else's.</exception>
    public static UserRange Parse(string text) =>
        text.Split('-', StringSplitOptions.TrimEntries) is [var first, var last]
        && uint.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out uint from)
            && uint.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out uint to)
        && from >= Least && to <= Most && from <= to
            ? new UserRange(from, to)
            : throw new FormatException($"WEBVM_MONITOR_USERS is '{text}', not a range of user ids such as {Default}, from {Least} up.");
}
