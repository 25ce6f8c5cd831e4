using System.Net;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Identity;

/// <summary>
/// How often one may be wrong: tries at one account from wherever they come, and wrong tokens from one address. Right tokens are never
/// counted, so nobody is locked out by a neighbour.
/// </summary>
internal sealed class GuessLimits : IDisposable
{
    private const int AccountTries = 20;
    private const int WrongTokens = 60;
    private static readonly TimeSpan AccountRefill = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan TokenRefill = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RecordRefill = TimeSpan.FromMinutes(1);

    private readonly PartitionedRateLimiter<string> _accounts = Buckets(AccountTries, AccountRefill);
    private readonly PartitionedRateLimiter<string> _addresses = Buckets(WrongTokens, TokenRefill);
    private readonly PartitionedRateLimiter<string> _records = Buckets(1, RecordRefill);

    /// <summary>Counts a try to sign in. False when there were too many.</summary>
    public bool TryAccount(string name, out TimeSpan retryAfter) => Take(_accounts, name, out retryAfter);

    /// <summary>Counts a wrong token. False when there were too many.</summary>
    public bool TryToken(IPAddress? address, out TimeSpan retryAfter) => Take(_addresses, KeyOf(address), out retryAfter);

    /// <summary>Whether that somebody was turned away unheard is written down.</summary>
    public bool TryRecord(IPAddress? address) => Take(_records, KeyOf(address), out _);

    /// <summary>What counts as one caller: an IPv4 address, or the /64 that an IPv6 host has to itself (RFC 6177).</summary>
    public static string KeyOf(IPAddress? address) => address switch
    {
        null => "",
        { IsIPv4MappedToIPv6: true } => address.MapToIPv4().ToString(),
        { AddressFamily: System.Net.Sockets.AddressFamily.InterNetworkV6 } => Convert.ToHexStringLower(address.GetAddressBytes().AsSpan(0, 8)),
        _ => address.ToString(),
    };

    public static void SetRetryAfter(HttpResponse response, TimeSpan time) =>
        response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(time.TotalSeconds)).ToString(null, null);

    public void Dispose()
    {
        _accounts.Dispose();
        _addresses.Dispose();
        _records.Dispose();
    }

    private static PartitionedRateLimiter<string> Buckets(int most, TimeSpan refill) =>
        PartitionedRateLimiter.Create<string, string>(key => RateLimitPartition.GetTokenBucketLimiter(key, _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = most,
            TokensPerPeriod = 1,
            ReplenishmentPeriod = refill,
        }));

    private static bool Take(PartitionedRateLimiter<string> limiter, string key, out TimeSpan retryAfter)
    {
        using var lease = limiter.AttemptAcquire(key);
        retryAfter = lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.FromSeconds(1);
        return lease.IsAcquired;
    }
}
