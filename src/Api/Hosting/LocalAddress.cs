namespace WebVm.Api.Hosting;

/// <summary>Where a program on this machine finds a service that listens on all of the machine's addresses.</summary>
public static class LocalAddress
{
    private static readonly string[] s_wildcards = ["0.0.0.0", "[::]", "*", "+"];

    /// <summary>The address with a wildcard host replaced by the loopback address; any other address as it is.</summary>
    public static string Of(string address)
    {
        const string schemeEnd = "://";
        int host = address.IndexOf(schemeEnd, StringComparison.Ordinal) + schemeEnd.Length;
        foreach (string wildcard in s_wildcards)
        {
            if (host >= schemeEnd.Length && address.AsSpan(host).StartsWith(wildcard)
                && (address.Length == host + wildcard.Length || address[host + wildcard.Length] is ':' or '/'))
            {
                return $"{address[..host]}127.0.0.1{address[(host + wildcard.Length)..]}";
            }
        }

        return address;
    }
}
