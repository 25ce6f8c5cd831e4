using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Attacker;

/// <summary>What an attacker tries who is in a monitor's place. Each ends with its error, with the process, or with success.</summary>
internal static class Tries
{
    /// <summary>Exit code of a try that got through.</summary>
    public const int Reached = 1;

    private static readonly (string Name, Func<Surroundings, Outcome> Try)[] s_all = [.. FileTries.All, .. ProcessTries.All,
        .. NetworkTries.All, .. KernelTries.All];

    public static int PrintNames()
    {
        foreach (var (name, _) in s_all)
        {
            Console.WriteLine(name);
        }

        return 0;
    }

    /// <summary>Prints how it ended: "reached", or the errno.</summary>
    public static int Run(string name, Surroundings host)
    {
        var attempt = Array.Find(s_all, candidate => candidate.Name == name).Try
            ?? throw new ArgumentException($"there is no try '{name}'");
        var outcome = attempt(host);
        Say(outcome.Reached ? "reached\n" : $"errno {outcome.Error}\n");
        return outcome.Reached ? Reached : 0;
    }

    private static unsafe void Say(string text)
    {
        // The console would look for its encoding and its terminal first.
        nint bytes = Calls.Text(text);
        _ = LibC.write(1, (void*)bytes, text.Length);
    }
}
