using WebVm.Vmm.Host;

namespace WebVm.Vmm.Control;

/// <summary>Who makes a request: one client, and the file descriptors that it has handed over. Used by the client's own thread.</summary>
internal sealed class ControlCaller(ControlOutbox outbox) : IDisposable
{
    private readonly Dictionary<string, FileDescriptor> _files = new(StringComparer.Ordinal);
    private FileDescriptor[] _brought = [];

    public ControlOutbox Outbox => outbox;

    /// <summary>Files for the state that this client saves next, by name.</summary>
    public IReadOnlyDictionary<string, FileDescriptor> Files => _files;

    /// <summary>The descriptors that come with a request. Those of the one before that no method took are closed.</summary>
    public void Bring(FileDescriptor[] descriptors)
    {
        foreach (var left in _brought)
        {
            left.Dispose();
        }

        _brought = descriptors;
    }

    /// <summary>Keeps the descriptors of this request under names, in their order.</summary>
    /// <exception cref="ControlException">There are not as many as names, or a name has one already.</exception>
    public void Keep(IReadOnlyList<string> names)
    {
        if (names.Count != _brought.Length || names.Distinct(StringComparer.Ordinal).Count() != names.Count
            || names.Any(_files.ContainsKey))
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"{_brought.Length} descriptors came for {names.Count} new names");
        }

        for (int index = 0; index < names.Count; index++)
        {
            _files.Add(names[index], _brought[index]);
        }

        _brought = [];
    }

    public void DropFiles()
    {
        foreach (var file in _files.Values)
        {
            file.Dispose();
        }

        _files.Clear();
    }

    public void Dispose()
    {
        Bring([]);
        DropFiles();
    }
}
