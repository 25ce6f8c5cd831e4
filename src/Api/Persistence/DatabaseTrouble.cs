using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using Npgsql;

namespace WebVm.Api.Persistence;

/// <summary>Tells a database that is away or full, which is nobody's fault and passes, from everything else.</summary>
internal static class DatabaseTrouble
{
    // PostgreSQL, appendix A: class 08 connection, 53 insufficient resources (disk, memory, connections), 57 operator intervention, 58
    // system error.
    private static readonly string[] Passing = ["08", "53", "57", "58"];

    public static bool Is(Exception? failure) => failure switch
    {
        PostgresException refused => Passing.Any(kind => refused.SqlState.StartsWith(kind, StringComparison.Ordinal)),
        NpgsqlException => true,
        RetryLimitExceededException or DbUpdateException or InvalidOperationException => Is(failure.InnerException),
        _ => false,
    };
}
