using System.Globalization;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Support;

/// <summary>
/// The end of the service's own log, for the support bundle: the service writes to its console alone, which others keep or do not.
/// </summary>
internal sealed class RecentLog(TimeProvider time) : ILoggerProvider
{
    public const int MostLines = 2000;
    private const int LongestLine = 2000;

    private readonly Lock _lock = new();
    private readonly Queue<string> _lines = new();

    public string[] Lines
    {
        get
        {
            lock (_lock)
            {
                return [.. _lines];
            }
        }
    }

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void Dispose()
    {
        // Nothing is held.
    }

    private void Add(LogLevel level, string category, string message)
    {
        string line = string.Create(
            CultureInfo.InvariantCulture, $"{time.GetUtcNow():yyyy-MM-dd HH:mm:ss.fff} {level} {category}: {message}");
        lock (_lock)
        {
            _lines.Enqueue(line.Length > LongestLine ? line[..LongestLine] + "…" : line);
            if (_lines.Count > MostLines)
            {
                _lines.Dequeue();
            }
        }
    }

    private sealed class Logger(RecentLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information && logLevel != LogLevel.None;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                log.Add(logLevel, category, exception is null
                    ? formatter(state, exception)
                    : $"{formatter(state, exception)}\n{exception}");
            }
        }
    }
}
