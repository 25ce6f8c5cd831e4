using System.Buffers;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Runs;

/// <summary>
/// What is kept of a run that crashed: the last screen, and the end of what it wrote to its serial port. One per VM, the latest.
/// </summary>
internal static class CrashReport
{
    /// <summary>Bytes of serial output: some hundred lines, a kernel's last words and what led to them.</summary>
    public const int SerialBytes = 64 * 1024;

    // ISO/IEC 15948 §5.2.
    private static ReadOnlySpan<byte> PngSignature => [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

    public static string Screen(string folder) => Path.Combine(folder, "screen.png");

    public static string Serial(string folder) => Path.Combine(folder, "serial.log");

    /// <summary>Keeps what there is; harmless when it is done again after the service was killed.</summary>
    /// <param name="screen">What the monitor says to be a PNG file; null when it said nothing.</param>
    /// <param name="folder">Where it is kept. What an earlier crash left there goes.</param>
    public static VmCrash Keep(byte[]? screen, SerialJournal serial, string folder, string reason)
    {
        var crash = new VmCrash { At = DateTimeOffset.UtcNow, Reason = reason };
        try
        {
            Directory.CreateDirectory(folder);
            File.Delete(Screen(folder));
            long end = serial.End;
            return crash with { Screen = KeepScreen(screen, folder), SerialBytes = KeepSerial(serial, end, folder), SerialEnd = end };
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // A full disk costs the pictures, not the word of the crash.
            return crash;
        }
    }

    private static bool KeepScreen(byte[]? screen, string folder)
    {
        if (!screen.AsSpan().StartsWith(PngSignature))
        {
            return false;
        }

        PrivateFile.Write(Screen(folder), screen);
        return true;
    }

    private static long KeepSerial(SerialJournal serial, long end, string folder)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(SerialBytes);
        try
        {
            long offset = Math.Max(serial.First, end - SerialBytes);
            int count = serial.Read(ref offset, buffer.AsSpan(0, SerialBytes));
            using var file = new FileStream(Serial(folder), FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
            file.Write(buffer, 0, count);
            return count;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
