using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace WebVm.Api.Support;

/// <summary>
/// The end of a file that somebody untrusted may have put there: no link is followed, nothing is waited for, and only so much is read.
/// </summary>
internal static partial class EndOfFile
{
    // open(2), Linux on x86-64.
    private const int ReadOnly = 0;
    private const int NonBlocking = 0x800;
    private const int NoFollow = 0x20000;
    private const int CloseOnExec = 0x80000;

    /// <summary>Null when there is no such file, or what has its name is none.</summary>
    public static string? Read(string path, int mostBytes)
    {
        try
        {
            using var file = new SafeFileHandle(Open(path, ReadOnly | NonBlocking | NoFollow | CloseOnExec), ownsHandle: true);
            if (file.IsInvalid)
            {
                return null;
            }

            // A pipe or a device has no length.
            long length = RandomAccess.GetLength(file);
            byte[] end = new byte[Math.Min(length, mostBytes)];
            int read = RandomAccess.Read(file, end, length - end.Length);
            return Encoding.UTF8.GetString(end, 0, read);
        }
        catch (Exception failure) when (failure is IOException or NotSupportedException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
