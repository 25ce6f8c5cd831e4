using Microsoft.Extensions.Logging;

namespace WebVm.Api.Persistence;

/// <summary>
/// Tells of a database that is away: when it begins, once a minute while it lasts, and when it is over. Everything that needs it fails
/// meanwhile, and says so here.
/// </summary>
public sealed partial class DatabaseOutage(TimeProvider time, ILogger<DatabaseOutage> log)
{
    private static readonly TimeSpan Reminder = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private DateTimeOffset? _began;
    private DateTimeOffset _told;
    private long _failures;

    /// <summary>Something failed because of it.</summary>
    public void Tell(Exception failure)
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            _failures++;
            if (_began is { } began && now - _told < Reminder)
            {
                return;
            }

            if (_began is null)
            {
                _began = now;
                LogBegan(log, Reason(failure));
            }
            else
            {
                LogLasts(log, Reason(failure), (int)(now - _began.Value).TotalSeconds, _failures);
            }

            _told = now;
        }
    }

    /// <summary>The database answers.</summary>
    public void Over()
    {
        lock (_lock)
        {
            if (_began is { } began)
            {
                LogOver(log, (int)(time.GetUtcNow() - began).TotalSeconds, _failures);
                (_began, _failures) = (null, 0);
            }
        }
    }

    // The framework wraps what happened in words about itself. One line, however many the message has.
    private static string Reason(Exception failure) =>
        (failure.InnerException is { } cause && DatabaseTrouble.Is(failure) ? cause : failure).Message.ReplaceLineEndings(" ");

    [LoggerMessage(Level = LogLevel.Error, Message = "The database does not answer: {Reason}")]
    private static partial void LogBegan(ILogger log, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "The database does not answer: {Reason} (for {Seconds} s; {Failures} failures)")]
    private static partial void LogLasts(ILogger log, string reason, int seconds, long failures);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The database answers again, after {Seconds} s and {Failures} failures")]
    private static partial void LogOver(ILogger log, int seconds, long failures);
}
