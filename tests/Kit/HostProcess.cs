using System.Globalization;

namespace WebVm.Kit;

/// <summary>What the kernel knows of a process (proc_pid_stat(5), proc_pid_smaps(5)).</summary>
internal static class HostProcess
{
    // sysconf(_SC_CLK_TCK) is 100 on every Linux for x86-64.
    private const double TicksPerSecond = 100;

    /// <summary>Seconds of processor time of all of a process's threads.</summary>
    public static double CpuSeconds(int process) => Ticks($"/proc/{process}/stat") / TicksPerSecond;

    /// <summary>Seconds of processor time of the living threads whose name starts so.</summary>
    public static double CpuSeconds(int process, string thread) => Directory.GetDirectories($"/proc/{process}/task")
        .Where(task => Read($"{task}/comm").StartsWith(thread, StringComparison.Ordinal))
            .Sum(task => Ticks($"{task}/stat")) / TicksPerSecond;

    /// <summary>Whether a process executes that file.</summary>
    public static bool Runs(int process, string program) => new FileInfo($"/proc/{process}/exe").LinkTarget == program;

    /// <summary>All processes below this one whose program is called so.</summary>
    public static int[] Descendants(int ancestor, string name)
    {
        var parents = All().ToDictionary(process => process, process => (int)Field($"/proc/{process}/stat", 1));
        return [.. parents.Keys.Where(process => IsBelow(process) && Read($"/proc/{process}/comm").Trim() == name)];

        bool IsBelow(int process)
        {
            while (parents.TryGetValue(process, out int parent))
            {
                if (parent == ancestor)
                {
                    return true;
                }

                process = parent;
            }

            return false;
        }
    }

    /// <summary>Resident and private bytes; of mappings whose name contains a text, if one is given.</summary>
    public static (double Resident, double Private) Memory(int process, string? mapping = null)
    {
        double resident = 0;
        double own = 0;
        bool counts = true;
        foreach (string line in Read($"/proc/{process}/{(mapping is null ? "smaps_rollup" : "smaps")}").Split('\n'))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 0 && !words[0].EndsWith(':'))
            {
                counts = mapping is null || line.Contains(mapping, StringComparison.Ordinal);
            }
            else if (counts && words.Length > 1)
            {
                double bytes = double.TryParse(words[1], CultureInfo.InvariantCulture, out double kilobytes) ? kilobytes * 1024 : 0;
                resident += words[0] == "Rss:" ? bytes : 0;
                own += words[0] is "Private_Clean:" or "Private_Dirty:" ? bytes : 0;
            }
        }

        return (resident, own);
    }

    private static IEnumerable<int> All() =>
        Directory.GetDirectories("/proc").Select(folder => int.TryParse(Path.GetFileName(folder), out int process) ? process : 0)
            .Where(process => process > 0);

    private static double Ticks(string stat) => Field(stat, 11) + Field(stat, 12);

    // Fields behind the name, which is in parentheses and may contain blanks. 0: state, 1: parent, 11 and 12: user and system time.
    private static long Field(string stat, int index)
    {
        string text = Read(stat);
        return text.Length == 0
            ? 0
            : long.TryParse(text[(text.LastIndexOf(')') + 2)..].Split(' ')[index], CultureInfo.InvariantCulture, out long value)
                ? value
                : 0;
    }

    // A process or thread may end at any moment.
    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";
        }
    }
}
