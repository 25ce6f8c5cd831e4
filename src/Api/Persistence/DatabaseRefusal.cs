using Npgsql;

namespace WebVm.Api.Persistence;

/// <summary>
/// What the database refuses for what a request asks of it: answered with 4xx, and nothing that is wrong with the service.
/// </summary>
internal static class DatabaseRefusal
{
    /// <summary>Something unique, a name above all, is taken.</summary>
    public static bool IsTaken(Exception? failure) => Find(failure)?.SqlState == PostgresErrorCodes.UniqueViolation;

    /// <summary>What the row belongs to has been deleted meanwhile.</summary>
    public static bool IsOrphaned(Exception? failure) => Find(failure)?.SqlState == PostgresErrorCodes.ForeignKeyViolation;

    /// <summary>PostgreSQL's text holds every character but U+0000.</summary>
    public static bool IsUnstorable(Exception? failure) =>
        Find(failure)?.SqlState is PostgresErrorCodes.CharacterNotInRepertoire or PostgresErrorCodes.UntranslatableCharacter;

    /// <summary>Any of these.</summary>
    public static bool Is(Exception? failure) => IsTaken(failure) || IsOrphaned(failure) || IsUnstorable(failure);

    private static PostgresException? Find(Exception? failure)
    {
        while (failure is not (null or PostgresException))
        {
            failure = failure.InnerException;
        }

        return failure as PostgresException;
    }
}
