using System.Data.Common;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Persistence;

/// <summary>
/// Logs commands that the database fails at, with what they were. EF Core's own messages would tell of a name that is taken as they tell of
/// a table that is missing; they are off for connections and commands, and for the queries and changes that these belong to, and this takes
/// their place.
/// </summary>
internal sealed partial class DatabaseLog(DatabaseOutage outage, ILogger<DatabaseLog> log) : DbCommandInterceptor, IDbConnectionInterceptor
{
    public void ConnectionFailed(DbConnection connection, ConnectionErrorEventData eventData) => outage.Tell(eventData.Exception);

    public Task ConnectionFailedAsync(
        DbConnection connection, ConnectionErrorEventData eventData, CancellationToken cancellationToken = default)
    {
        outage.Tell(eventData.Exception);
        return Task.CompletedTask;
    }

    public override void CommandFailed(DbCommand command, CommandErrorEventData eventData) => Tell(command, eventData);

    public override Task CommandFailedAsync(
        DbCommand command, CommandErrorEventData eventData, CancellationToken cancellationToken = default)
    {
        Tell(command, eventData);
        return Task.CompletedTask;
    }

    private void Tell(DbCommand command, CommandErrorEventData failed)
    {
        // Migrations try what a new database does not have; when they really fail the service does not start, and says why.
        if (DatabaseRefusal.Is(failed.Exception) || failed.CommandSource == CommandSource.Migrations)
        {
            LogRefused(log, failed.Exception.Message);
        }
        else if (DatabaseTrouble.Is(failed.Exception))
        {
            outage.Tell(failed.Exception);
        }
        else
        {
            // Without its parameters, which are what users wrote.
            LogFailed(log, failed.Exception, command.CommandText);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The database failed at a command: {Command}")]
    private static partial void LogFailed(ILogger log, Exception failure, string command);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The database refused what a request asked for: {Reason}")]
    private static partial void LogRefused(ILogger log, string reason);
}
