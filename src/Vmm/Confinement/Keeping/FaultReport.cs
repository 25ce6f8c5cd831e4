using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>
/// What a monitor wrote of the fault that ended it (<see cref="FaultRecord"/>), put into words: signal, address, thread, and the functions
/// on its stack. A monitor that was taken over writes what it likes: what is no such record is passed over, and nothing of it is repeated
/// but numbers and a name of letters.
/// </summary>
internal sealed unsafe class FaultReport
{
    private const int MostFrames = 32;

    private readonly List<byte> _written = [];

    private static int Most => FaultRecord.HeadSize + FaultRecord.StackSize;

    /// <summary>What is more than a record has is let go.</summary>
    public void Append(ReadOnlySpan<byte> written) => _written.AddRange(written[..Math.Min(written.Length, Most - _written.Count)]);

    /// <summary>Lines for the log; none when no fault was told.</summary>
    /// <param name="program">What the process executed; its symbols lie beside.</param>
    public string Describe(string program)
    {
        var written = CollectionsMarshal.AsSpan(_written);
        if (written.Length < FaultRecord.HeadSize || MemoryMarshal.Read<FaultRecord>(written) is not { Magic: FaultRecord.Expected } record)
        {
            return "";
        }

        var signal = MemoryMarshal.Read<siginfo_t>(written[sizeof(FaultRecord)..]);
        var registers = MemoryMarshal.Cast<byte, ulong>(written[(sizeof(FaultRecord) + sizeof(siginfo_t))..FaultRecord.HeadSize]);
        var stack = MemoryMarshal.Cast<byte, ulong>(written[FaultRecord.HeadSize..]);
        var text = new StringBuilder()
            .Append(CultureInfo.InvariantCulture, $"webvm-vmm: {Name(signal.si_signo)} (code {signal.si_code})")
            .Append(signal.si_signo == SignalCalls.SIGABRT ? "" : $" at 0x{signal.si_addr:x}")
            .Append(CultureInfo.InvariantCulture, $" in thread {record.Thread} \"{Letters(new ReadOnlySpan<byte>(record.Name, FaultRecord.NameSize))}\"\n");
        foreach (string frame in Frames(program, registers[ucontext_t.InstructionPointer], stack))
        {
            text.Append("  ").Append(frame).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>
    /// Where it was, and what on the stack looks like a return address: some of them may be left over from calls that are done.
    /// </summary>
    private static List<string> Frames(string program, ulong instruction, ReadOnlySpan<ulong> stack)
    {
        List<ulong> frames = [instruction];
        string[] names = [""];
        try
        {
            using var image = ProgramImage.TryOpen(program);
            for (int index = 0; index < stack.Length && frames.Count < MostFrames && image is not null; index++)
            {
                if (image.IsReturn(stack[index]))
                {
                    frames.Add(stack[index]);
                }
            }

            // A call that does not return may be the last instruction of its function.
            names = image?.Names([instruction, .. frames.Skip(1).Select(frame => frame - 1)]) ?? names;
        }
        catch (LinuxException)
        {
            // Numbers do as well, and how it ended matters more.
        }

        return [.. frames.Select(
            (frame, index) => string.Create(CultureInfo.InvariantCulture, $"0x{frame:x} {names.ElementAtOrDefault(index)}").TrimEnd())];
    }

    private static string Name(int signal) => signal switch
    {
        SignalCalls.SIGILL => "SIGILL",
        SignalCalls.SIGABRT => "SIGABRT",
        SignalCalls.SIGBUS => "SIGBUS",
        SignalCalls.SIGFPE => "SIGFPE",
        SignalCalls.SIGSEGV => "SIGSEGV",
        _ => string.Create(CultureInfo.InvariantCulture, $"signal {signal}"),
    };

    private static string Letters(ReadOnlySpan<byte> name)
    {
        int end = name.IndexOf((byte)0);
        var letters = new StringBuilder();
        foreach (byte letter in end < 0 ? name : name[..end])
        {
            letters.Append(
                char.IsAsciiLetterOrDigit((char)letter) || letter is (byte)' ' or (byte)'.' or (byte)'-' or (byte)':' ? (char)letter : '?');
        }

        return letters.ToString();
    }
}
