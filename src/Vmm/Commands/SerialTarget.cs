using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Commands;

/// <summary>Where a machine's serial port ends on the host: what --serial says.</summary>
internal sealed record SerialTarget(string Kind, string Path)
{
    /// <exception cref="InvalidSpecException">Not such a target.</exception>
    public static SerialTarget Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? text : text[..colon];
        string path = colon < 0 ? "" : text[(colon + 1)..];
        return kind switch
        {
            "none" or "stdio" when path.Length == 0 && colon < 0 => new SerialTarget(kind, ""),
            "file" or "unix" when path.Length > 0 => new SerialTarget(kind, path),
            _ => throw new InvalidSpecException("--serial", $"'{text}'; there are none, stdio, file:PATH and unix:PATH"),
        };
    }

    /// <summary>Connects; disposing what is returned writes out what is left and restores the terminal.</summary>
    public IDisposable? Connect(VirtualMachine machine)
    {
        switch (Kind)
        {
            case "stdio":
                return new StandardStreams(machine.Serial, () => machine.Stop());
            case "file":
                var file = new DescriptorStream(HandedFiles.OfProcess.Create(Path));
                return new OwnedPump(new SerialPump(machine.Serial, file), file);
            case "unix":
                return new SocketSerial(machine.Serial, Path);
            default:
                return null;
        }
    }

    private sealed class OwnedPump(SerialPump pump, Stream stream) : IDisposable
    {
        public void Dispose()
        {
            pump.Dispose();
            stream.Dispose();
        }
    }
}
