using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.HttpOverrides;

namespace WebVm.Api.Hosting;

/// <summary>
/// Reverse proxies whose word counts about whom a request comes from and by which scheme (X-Forwarded-For, X-Forwarded-Proto). From anybody
/// else these headers are ignored: a stranger would choose the address that is limited and audited. The host is always the Host header's.
/// </summary>
internal static class TrustedProxies
{
    /// <summary>Addresses and networks (10.0.0.0/8), separated by semicolons. Null when there are none.</summary>
    /// <exception cref="FormatException">One of them is neither.</exception>
    public static ForwardedHeadersOptions? Parse(string? proxies)
    {
        string[] parts = proxies?.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];
        if (parts.Length == 0)
        {
            // The middleware would take empty lists for everybody.
            return null;
        }

        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto,
            // As many hops as there are proxies that are trusted; the first that is not is the client.
            ForwardLimit = null,
        };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        foreach (string part in parts)
        {
            if (IPAddress.TryParse(part, out var address))
            {
                options.KnownProxies.Add(address);
            }
            else if (System.Net.IPNetwork.TryParse(part, out var network))
            {
                options.KnownIPNetworks.Add(network);
            }
            else
            {
                throw new FormatException($"WEBVM_PROXIES: '{part}' is neither an address nor a network such as 10.0.0.0/8.");
            }
        }

        return options;
    }
}
