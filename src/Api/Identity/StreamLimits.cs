using System.Security.Claims;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using WebVm.Api.Conventions;

namespace WebVm.Api.Identity;

/// <summary>
/// How many streams one user may have open: whoever may look must not take everything away from everybody else by looking often.
/// </summary>
public sealed class StreamLimits
{
    /// <summary>Of each kind.</summary>
    public const int MostOfOneUser = 50;

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<(Guid User, StreamKind Kind), Streams> _open = [];

    /// <summary>Counts a stream until it is disposed. Null when the user has too many.</summary>
    public Lease? TryOpen(ClaimsPrincipal caller, StreamKind kind)
    {
        var key = (caller.UserId(), kind);
        lock (_lock)
        {
            if (!_open.TryGetValue(key, out var streams))
            {
                _open[key] = streams = new Streams();
            }

            if (streams.Count == MostOfOneUser)
            {
                return null;
            }

            streams.Count++;
            return new Lease(this, key, streams);
        }
    }

    /// <summary>The answer to one too many.</summary>
    public static ProblemHttpResult Refuse(HttpResponse response)
    {
        GuessLimits.SetRetryAfter(response, RetryAfter);
        return Problems.TooMany($"At most {MostOfOneUser} of these streams are open for one user at the same time; close one first.");
    }

    public sealed class Lease : IDisposable
    {
        private readonly StreamLimits _owner;
        private readonly (Guid User, StreamKind Kind) _key;
        private readonly Streams _streams;
        private bool _closed;

        internal Lease(StreamLimits owner, (Guid User, StreamKind Kind) key, Streams streams) =>
            (_owner, _key, _streams) = (owner, key, streams);

        /// <summary>What all streams of this kind of the user do one after the other.</summary>
        public SemaphoreSlim Turn => _streams.Turn;

        public void Dispose()
        {
            lock (_owner._lock)
            {
                if (!_closed && --_streams.Count == 0)
                {
                    _owner._open.Remove(_key);
                }

                _closed = true;
            }
        }
    }

    internal sealed class Streams
    {
        public int Count { get; set; }

        public SemaphoreSlim Turn { get; } = new(1);
    }
}

public enum StreamKind
{
    Events,
    Serial,
    Console,
}
