using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Control;

/// <content>Requests on their way, and what their replies have to be. The other side is not trusted: it reads when it likes, and says what
/// it likes.</content>
public sealed partial class ControlClient
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(20);

    private readonly SemaphoreSlim _turn = new(1);
    private long _lastId;

    private readonly record struct Reply(JsonElement Value, FileDescriptor[] Descriptors);

    internal Task Send<T>(string method, T parameters, JsonTypeInfo<T> type) =>
        Send(method, JsonSerializer.SerializeToElement(parameters, type));

    internal async Task<TResult> Call<T, TResult>(string method, T parameters, JsonTypeInfo<T> type, JsonTypeInfo<TResult> result) =>
        Decode(await Request(method, JsonSerializer.SerializeToElement(parameters, type), 0), result);

    /// <summary>A request whose reply brings file descriptors, which belong to the caller.</summary>
    internal async Task<(TResult Value, FileDescriptor[] Descriptors)> Fetch<TResult>(
        string method, JsonElement? parameters, int descriptors, JsonTypeInfo<TResult> result)
    {
        var reply = await Request(method, parameters, descriptors);
        try
        {
            return (Decode(reply, result), reply.Descriptors);
        }
        catch
        {
            Release(reply);
            throw;
        }
    }

    /// <summary>What the types alone do not say of a reply.</summary>
    private static T Sound<T>(T result, Func<T, bool> isSound) =>
        isSound(result) ? result : throw new ControlProtocolException("A reply is not what was expected.");

    /// <summary>How much of what was given the machine took.</summary>
    private static int Part(int taken, int given) =>
        taken >= 0 && taken <= given ? taken : throw new ControlProtocolException($"The machine took {taken} of {given}.");

    private static TResult Decode<TResult>(Reply reply, JsonTypeInfo<TResult> type)
    {
        try
        {
            return reply.Value.Deserialize(type) ?? throw new ControlProtocolException("A reply is null.");
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException)
        {
            throw new ControlProtocolException($"A reply is not what was expected: {malformed.Message}");
        }
    }

    private async Task<TResult> Call<TResult>(string method, JsonTypeInfo<TResult> result) =>
        Decode(await Request(method, null, 0), result);

    private async Task Send(string method, JsonElement? parameters) => await Request(method, parameters, 0);

    private async Task<Reply> Request(string method, JsonElement? parameters, int descriptors, params FileDescriptor[] sent)
    {
        long id = Interlocked.Increment(ref _lastId);
        var completion = new TaskCompletionSource<Reply>(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending[id] = completion;
        try
        {
            var request = new ControlRequest { Id = id, Method = method, Parameters = parameters, Descriptors = sent.Length };
            await DeliverAsync(ControlConnection.Frame(request, ControlJson.Default.ControlRequest), sent);
        }
        catch (Exception gone) when (gone is LinuxException or ObjectDisposedException)
        {
            _pending.TryRemove(id, out _);
            throw new IOException($"The machine is gone: {gone.Message}", gone);
        }
        catch
        {
            _pending.TryRemove(id, out _);
            throw;
        }

        if (_closed.Task.IsCompleted)
        {
            completion.TrySetException(new IOException("The machine is gone."));
        }

        var reply = await AwaitAsync(completion.Task, id);
        if (reply.Descriptors.Length != descriptors)
        {
            Release(reply);
            throw new ControlProtocolException(
                $"The reply to '{method}' came with {reply.Descriptors.Length} file descriptors, not {descriptors}.");
        }

        return reply;
    }

    /// <summary>
    /// Sends one request after the other. The machine's process need not read them, and no thread waits for it: those are the service's,
    /// for all machines.
    /// </summary>
    private async Task DeliverAsync(byte[] frame, FileDescriptor[] descriptors)
    {
        long start = Stopwatch.GetTimestamp();
        if (!await _turn.WaitAsync(Patience))
        {
            throw NoAnswer();
        }

        try
        {
            var pause = ShortestPause;
            for (int sent = 0; ;)
            {
                sent += _connection.TrySend(frame.AsSpan(sent), sent == 0 ? descriptors : []);
                if (sent == frame.Length)
                {
                    return;
                }

                if (Patience != Timeout.InfiniteTimeSpan && Stopwatch.GetElapsedTime(start) > Patience)
                {
                    if (sent > 0)
                    {
                        // What came behind half a request would be read as its rest.
                        _connection.Abort();
                    }

                    throw NoAnswer();
                }

                await Task.Delay(pause);
                pause = pause < LongestPause ? pause * 2 : LongestPause;
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private ControlTimeoutException NoAnswer() => new($"The machine's process did not answer within {Patience.TotalSeconds:0} seconds.");

    private async Task<Reply> AwaitAsync(Task<Reply> answer, long id)
    {
        try
        {
            return await answer.WaitAsync(Patience);
        }
        catch (TimeoutException) when (_pending.TryRemove(id, out _))
        {
            throw NoAnswer();
        }
        catch (TimeoutException)
        {
            // It came in this moment.
            return await answer;
        }
    }
}
