using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Persistence;

/// <summary>Work in transactions that may be repeated when the database comes back.</summary>
internal static class Transactions
{
    /// <summary>Runs the work in one transaction; what the context tracked before is forgotten, so that a repetition begins anew.</summary>
    public static Task<T> InTransactionAsync<T>(this WebVmDbContext database, Func<Task<T>> work, CancellationToken cancellation) =>
        database.Database.CreateExecutionStrategy().ExecuteAsync(async () =>
        {
            database.ChangeTracker.Clear();
            await using var transaction = await database.Database.BeginTransactionAsync(cancellation);
            var result = await work();
            await database.SaveChangesAsync(cancellation);
            await transaction.CommitAsync(cancellation);
            return result;
        });

    /// <summary>Reads a VM that nobody else changes before the transaction's end. Null when there is none.</summary>
    public static Task<Vm?> LockVmAsync(this WebVmDbContext database, Guid id, CancellationToken cancellation) =>
        database.Vms.FromSql($"SELECT * FROM vms WHERE id = {id} FOR UPDATE").SingleOrDefaultAsync(cancellation);
}
