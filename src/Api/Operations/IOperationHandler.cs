using System.Text.Json;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Operations;

/// <summary>
/// The work of one kind of operation. It may be run again from the start after the service was killed in the middle, so it looks
/// at what is already done.
/// </summary>
public interface IOperationHandler
{
    /// <summary>Such as "vm.snapshot.create".</summary>
    string Kind { get; }

    /// <returns>The result, serialised to JSON; null for none.</returns>
    /// <exception cref="OperationFailedException">The work cannot be done; the message goes to the user.</exception>
    Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation);

    /// <summary>The operation was cancelled, before its work began or in the midst of it: takes back what was prepared for it.</summary>
    Task GiveUpAsync(OperationContext operation) => Task.CompletedTask;
}

/// <summary>What a handler sees of its operation.</summary>
/// <param name="report">Where reports go; null while the operation waits.</param>
public sealed class OperationContext(Operation operation, Func<int, string?, Task>? report = null)
{
    public Guid Id => operation.Id;

    public Guid? VmId => operation.VmId;

    public string? Actor => operation.Actor;

    public T Input<T>() =>
        JsonSerializer.Deserialize<T>(operation.Input, ApiJson.Options)
            ?? throw new OperationFailedException("The operation has no input.");

    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(500);

    /// <summary>Tells how far the work is. Cheap to call often: writes are limited.</summary>
    /// <param name="percent">0 to 100.</param>
    public Task ReportAsync(int percent, string? message = null) =>
        report?.Invoke(Math.Clamp(percent, 0, 100), message) ?? Task.CompletedTask;

    /// <summary>Does work, and tells meanwhile how far it is. Work and reports end together.</summary>
    public async Task ReportWhileAsync(
        Func<CancellationToken, Task> work, Func<int> percent, string message, CancellationToken cancellation)
    {
        using var abandon = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var running = work(abandon.Token);
        try
        {
            while (await Task.WhenAny(running, Task.Delay(LookAgain, CancellationToken.None)) != running)
            {
                await ReportAsync(percent(), message);
            }

            await running;
        }
        finally
        {
            await abandon.CancelAsync();
            await Task.WhenAny(running);
        }
    }
}

/// <summary>The work of an operation cannot be done, for a reason that its user should read.</summary>
public sealed class OperationFailedException(string message, Exception? cause = null) : Exception(message, cause);
