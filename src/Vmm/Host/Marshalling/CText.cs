using System.Runtime.InteropServices.Marshalling;

namespace WebVm.Vmm.Host.Marshalling;

/// <summary>A string as C takes it, UTF-8 with a zero behind it, for the length of a call: in the caller's buffer where it fits.</summary>
internal unsafe ref struct CText
{
    /// <summary>Bytes of a buffer that most names fit into.</summary>
    public const int BufferSize = 256;

    private Utf8StringMarshaller.ManagedToUnmanagedIn _text;

    /// <param name="buffer">On the stack: it does not move.</param>
    public CText(string text, Span<byte> buffer) => _text.FromManaged(text, buffer);

    public readonly byte* Pointer => _text.ToUnmanaged();

    public readonly void Dispose() => _text.Free();
}
