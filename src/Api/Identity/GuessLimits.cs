using System.Net;
using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Identity;

/// <summary>
/// What guessing costs, and whom: the address that guesses, or the browser. Never the account, which anybody could then lock for its owner.
/// A browser that signed in before is told by its device cookie and has tries of its own, whatever its address or others do (OWASP, "Slow
/// Down Online Guessing Attacks with Device Cookies"). Where many addresses guess at one name, browsers that are unknown wait a moment.
/// Right passwords and right tokens are never counted.
/// </summary>
internal sealed class GuessLimits(TimeProvider time) : IDisposable
{
    /// <summary>Tries of an address, or of a browser that is known.</summary>
    public const int SignIns = 10;

    /// <summary>Wrong passwords for one name, from wherever they come, before unknown browsers wait.</summary>
    public const int WrongForName = 20;

    private const int WrongTokens = 60;

    // The wrong ones that count: that many seconds of peace after a storm make the wait end.
    private const int MostWrongForName = 80;

    // Strangers whose password is looked at or waits for it; a look takes a tenth of a second of a processor.
    private const int MostWaiting = 64;

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    private readonly Allowances _addresses = new(SignIns, TimeSpan.FromSeconds(6), time);
    private readonly Allowances _devices = new(SignIns, TimeSpan.FromSeconds(6), time);
    private readonly Allowances _names = new(MostWrongForName, TimeSpan.FromSeconds(5), time);
    private readonly Allowances _tokens = new(WrongTokens, TimeSpan.FromSeconds(1), time);
    private readonly Allowances _records = new(1, TimeSpan.FromMinutes(1), time);
    private readonly SemaphoreSlim _turns = new(Environment.ProcessorCount);
    private int _waiting;

    /// <summary>Counts a try to sign in. False when there were too many.</summary>
    /// <param name="device">Of the browser's device cookie for the name; null when it has none.</param>
    public bool TrySignIn(IPAddress? address, string? device, out TimeSpan retryAfter) =>
        device is null ? _addresses.TryTake(KeyOf(address), out retryAfter) : _devices.TryTake(device, out retryAfter);

    /// <summary>The try was right after all.</summary>
    public void WasRight(IPAddress? address, string? device)
    {
        if (device is null)
        {
            _addresses.GiveBack(KeyOf(address));
        }
        else
        {
            _devices.GiveBack(device);
        }
    }

    /// <summary>An unknown browser did not know the password that goes with a name, be there such a user or not.</summary>
    public void WasWrong(string name) => _names.TryTake(name, out _);

    /// <summary>How long an unknown browser waits before its password for the name is looked at: three seconds at most.</summary>
    public TimeSpan SlowDown(string name) => Step * Math.Max(0, _names.Taken(name) - WrongForName);

    /// <summary>
    /// Looks at a password in turn: guessing must not take the processors away from everything else, nor a stranger's guess the turn of
    /// somebody who is known. Null when too many strangers wait.
    /// </summary>
    public async Task<bool?> InTurnAsync(bool known, Func<bool> look, CancellationToken cancellation)
    {
        if (Interlocked.Increment(ref _waiting) > MostWaiting && !known)
        {
            Interlocked.Decrement(ref _waiting);
            return null;
        }

        try
        {
            await _turns.WaitAsync(cancellation);
            try
            {
                return look();
            }
            finally
            {
                _turns.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    /// <summary>Counts a wrong token. False when there were too many.</summary>
    public bool TryToken(IPAddress? address, out TimeSpan retryAfter) => _tokens.TryTake(KeyOf(address), out retryAfter);

    /// <summary>Whether that somebody was turned away unheard is written down.</summary>
    public bool TryRecord(IPAddress? address) => _records.TryTake(KeyOf(address), out _);

    /// <summary>What counts as one caller: an IPv4 address, or the /64 that an IPv6 host has to itself (RFC 6177).</summary>
    public static string KeyOf(IPAddress? address) => address switch
    {
        null => "",
        { IsIPv4MappedToIPv6: true } => address.MapToIPv4().ToString(),
        { AddressFamily: System.Net.Sockets.AddressFamily.InterNetworkV6 } =>
            Convert.ToHexStringLower(address.GetAddressBytes().AsSpan(0, 8)),
        _ => address.ToString(),
    };

    public static void SetRetryAfter(HttpResponse response, TimeSpan time) =>
        response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(time.TotalSeconds)).ToString(null, null);

    public void Dispose() => _turns.Dispose();
}
