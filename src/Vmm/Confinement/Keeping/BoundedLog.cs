using WebVm.Vmm.Host;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>What a monitor prints, in a file that it cannot fill a disk with: the beginning stays, and of the rest the end.</summary>
internal sealed class BoundedLog(FileDescriptor file)
{
    /// <summary>Bytes of the beginning that stay, and bytes of the end that stay at least.</summary>
    public const int Part = 64 * 1024;

    private readonly byte[] _end = new byte[2 * Part];
    private long _beginning;
    private int _kept;
    private bool _full;

    public void Append(ReadOnlySpan<byte> text)
    {
        if (_full)
        {
            return;
        }

        try
        {
            int first = (int)Math.Min(text.Length, Part - _beginning);
            SparseFile.Write(file, _beginning, text[..first]);
            _beginning += first;
            text = text[first..];
            while (!text.IsEmpty)
            {
                if (_kept == _end.Length)
                {
                    // The file never shrinks below what a reader may be at.
                    _end.AsSpan(Part).CopyTo(_end);
                    _kept = Part;
                    SparseFile.SetLength(file, _beginning);
                    SparseFile.Write(file, _beginning, _end.AsSpan(0, _kept));
                }

                int count = Math.Min(text.Length, _end.Length - _kept);
                text[..count].CopyTo(_end.AsSpan(_kept));
                SparseFile.Write(file, _beginning + _kept, text[..count]);
                _kept += count;
                text = text[count..];
            }
        }
        catch (LinuxException)
        {
            // A full disk: the machine matters more than what its monitor says.
            _full = true;
        }
    }
}
