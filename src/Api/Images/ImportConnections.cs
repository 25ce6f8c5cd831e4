using System.Net;
using System.Net.Http;
using System.Net.Sockets;

namespace WebVm.Api.Images;

/// <summary>
/// Connections for imports. Whoever may import must not reach what only the service reaches (its own ports, its network, a cloud's metadata
/// server), so every connection, that of a redirect too, goes to an address that was checked after its name was looked up: a name that
/// means something else a moment later gains nothing.
/// </summary>
internal static class ImportConnections
{
    private const int MostRedirects = 5;
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(30);

    // IANA IPv4 and IPv6 special-purpose address registries: what is not globally reachable, and what carries such an address inside.
    private static readonly IPNetwork[] Special =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        }.Select(network => IPNetwork.Parse(network)),
    ];

    // All that IANA has given out for the public internet (RFC 4291 §2.4). Outside of it lie IPv4-mapped, -compatible and -translated
    // addresses, NAT64's prefixes, and whatever else will carry another address inside; within it Teredo and 6to4, which are special.
    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    /// <summary>Whether the address is somewhere in the public internet.</summary>
    public static bool IsPublic(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return (plain.AddressFamily != AddressFamily.InterNetworkV6 || GlobalUnicast.Contains(plain))
            && !Special.Any(network => network.BaseAddress.AddressFamily == plain.AddressFamily && network.Contains(plain));
    }

    /// <summary>A handler that connects only to allowed addresses. Not by way of a proxy, which would look names up by itself.</summary>
    public static SocketsHttpHandler CreateHandler(Func<IPAddress, bool> allowed) => new()
    {
        UseProxy = false,
        UseCookies = false,
        MaxAutomaticRedirections = MostRedirects,
        ConnectTimeout = ConnectPatience,
        ConnectCallback = (context, cancellation) => ConnectAsync(context.DnsEndPoint, allowed, cancellation),
    };

    private static async ValueTask<Stream> ConnectAsync(DnsEndPoint target, Func<IPAddress, bool> allowed, CancellationToken cancellation)
    {
        IPAddress[] addresses;
        try
        {
            addresses = [.. (await Dns.GetHostAddressesAsync(target.Host, cancellation)).Where(allowed)];
        }
        catch (Exception unknown) when (unknown is SocketException or ArgumentException)
        {
            addresses = [];
        }

        if (addresses.Length == 0)
        {
            // The same words for names that nobody knows and for those that only the service's own network does: nobody learns names here.
            throw new HttpRequestException(
                $"Images are not imported from {target.Host}: there is no such host, or it is not in the public internet.");
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(addresses, target.Port, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
