using System.Net;

namespace WebVm.Api.Hosting;

/// <summary>Where a program on this machine finds a service that listens on all of the machine's addresses.</summary>
public static class LocalAddress
{
    /// <summary>The address with a wildcard host replaced by the loopback address; any other address as it is.</summary>
    public static string Of(string address)
    {
        const string schemeEnd = "://";
        int host = address.IndexOf(schemeEnd, StringComparison.Ordinal) + schemeEnd.Length;
        if (host < schemeEnd.Length)
        {
            return address;
        }

        int bracket = address.IndexOf(']', host);
        int end = bracket >= 0
            ? bracket + 1
            : address.AsSpan(host).IndexOfAny(':', '/') is >= 0 and var length ? host + length : address.Length;
        return IsWildcard(address[host..end]) ? $"{address[..host]}127.0.0.1{address[end..]}" : address;
    }

    // :: and 0.0.0.0 in all their spellings, as an IPv4 address within IPv6 too.
    private static bool IsWildcard(string host) =>
        host is "*" or "+"
        || (IPAddress.TryParse(host.Trim('[', ']'), out var parsed)
            && (parsed.IsIPv4MappedToIPv6 ? parsed.MapToIPv4() : parsed) is var plain
                && (plain.Equals(IPAddress.Any) || plain.Equals(IPAddress.IPv6Any)));
}
