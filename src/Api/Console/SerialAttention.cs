using System.Collections.Concurrent;

namespace WebVm.Api.Console;

/// <summary>
/// Which viewer's terminal answers what a guest asks terminals over its serial port (cursor position, attributes, colours): the one that
/// was focused or typed in last, and only what the guest printed since. So a question is answered once at most, and never when it is
/// replayed.
/// </summary>
internal sealed class SerialAttention
{
    private readonly ConcurrentDictionary<Guid, Attention> _attentions = new();

    /// <summary>The viewer turns to the terminal.</summary>
    /// <param name="end">Offset behind the newest byte of the VM's serial log.</param>
    public void Take(Guid vm, string connection, long end) =>
        _attentions.AddOrUpdate(
            vm, _ => new(connection, end), (_, before) => before.Connection == connection ? before : new(connection, end));

    /// <summary>The viewer turns away, or is gone.</summary>
    public void Leave(Guid vm, string connection)
    {
        if (_attentions.TryGetValue(vm, out var attention) && attention.Connection == connection)
        {
            _attentions.TryRemove(KeyValuePair.Create(vm, attention));
        }
    }

    /// <summary>Whether this viewer answers output that stands at an offset of the log.</summary>
    public bool Answers(Guid vm, string connection, long offset) =>
        _attentions.TryGetValue(vm, out var attention) && attention.Connection == connection && offset >= attention.Since;

    private sealed record Attention(string Connection, long Since);
}
