using System.Globalization;
using System.Text;

namespace WebVm.Api.Runs;

/// <summary>
/// What a run's keeper wrote down before the monitor executed its first instruction (docs/security.md): which processes there are, and what
/// stands between the monitor and the host. Numbers alone name nobody: see <see cref="RunProcesses"/>.
/// </summary>
/// <param name="Boot">The host's boot (/proc/sys/kernel/random/boot_id) in which the numbers were given.</param>
/// <param name="Monitor">The monitor, or the first process of its PID namespace, with which all others end.</param>
/// <param name="User">The monitor's own uid, where it has one.</param>
internal sealed record RunRecord(
    string Boot, ProcessIdentity Keeper, ProcessIdentity Monitor, string Level, IReadOnlyList<string> Walls, uint? User)
{
    /// <summary>Bytes of a record at most.</summary>
    public const int MaximumLength = 4096;

    private const string Format = "1";
    private const int MostWalls = 32;
    private const int LongestWord = 64;

    /// <summary>Null for what is not a record.</summary>
    public static RunRecord? Parse(ReadOnlySpan<byte> content)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in Encoding.UTF8.GetString(content).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            if (space <= 0 || !values.TryAdd(line[..space], line[(space + 1)..]))
            {
                return null;
            }
        }

        if (values.GetValueOrDefault("format") != Format || !values.TryGetValue("boot", out string? boot) || !Guid.TryParse(boot, out _)
            || ProcessIdentity.Parse(values.GetValueOrDefault("keeper")) is not { } keeper
                || ProcessIdentity.Parse(values.GetValueOrDefault("monitor")) is not { } monitor
            || !values.TryGetValue("level", out string? level) || !IsWord(level))
        {
            return null;
        }

        string[] walls = values.GetValueOrDefault("walls", "").Split(',', StringSplitOptions.RemoveEmptyEntries);
        bool hasUser = values.TryGetValue("user", out string? text);
        uint user = 0;
        return walls.Length <= MostWalls && walls.All(IsWord)
            && (!hasUser || uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out user))
            ? new RunRecord(boot, keeper, monitor, level, walls, hasUser ? user : null)
            : null;
    }

    private static bool IsWord(string text) =>
        text.Length is > 0 and <= LongestWord && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is ':' or '-');
}

/// <summary>A process by its number and the time of its start, in ticks from the host's boot: no other ever has both.</summary>
internal readonly record struct ProcessIdentity(int Id, ulong Start)
{
    // 1 is everybody's parent; 0 and below mean groups to whoever signals (kill(2)). PID_MAX_LIMIT is 2^22.
    private const int Least = 2;
    private const int Most = 1 << 22;

    public static ProcessIdentity? Parse(string? text) =>
        text?.Split(' ') is [var id, var start]
        && int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number is >= Least and <= Most
        && ulong.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out ulong ticks)
            ? new ProcessIdentity(number, ticks)
            : null;
}
