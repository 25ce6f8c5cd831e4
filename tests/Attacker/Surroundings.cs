using System.Globalization;

namespace WebVm.Attacker;

/// <summary>What an attacker knows of the host: NAME=VALUE of its arguments. The test has put it there.</summary>
internal sealed class Surroundings(string[] facts)
{
    /// <summary>A file of the service's with a secret.</summary>
    public string Secret => Of("secret");

    /// <summary>A socket on which somebody of the service's account listens.</summary>
    public string Socket => Of("socket");

    /// <summary>The same without a name in the file system.</summary>
    public string AbstractSocket => Of("abstract");

    /// <summary>A TCP port of the host's loopback, and a UDP port.</summary>
    public ushort Port => ushort.Parse(Of("port"), CultureInfo.InvariantCulture);

    /// <summary>Another process: a second monitor, of the attacker's own account where there is only one.</summary>
    public int Victim => int.Parse(Of("victim"), CultureInfo.InvariantCulture);

    /// <summary>A descriptor that was handed over for reading.</summary>
    public int Handed => int.Parse(Of("handed"), CultureInfo.InvariantCulture);

    /// <summary>A folder that everybody may write to.</summary>
    public string Folder => Of("folder");

    private string Of(string name) =>
        Array.Find(facts, fact => fact.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..]
            ?? throw new ArgumentException($"{name} is not given");
}
