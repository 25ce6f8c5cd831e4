using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Confinement.Keeping;
using WebVm.Vmm.Host.Native;
using Xunit;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>
/// A monitor whose native code faults says where, and ends by the signal that it would have ended by; what its runtime notices by faults is
/// no fault.
/// </summary>
public sealed class FaultReportTests : IDisposable
{
    private const int FirstSignal = 128;

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-fault").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("fault natively", SignalCalls.SIGSEGV, "SIGSEGV (code 1) at 0x10 in thread", "strlen", "Natively")]
    [InlineData("fault natively on a vCPU's thread", SignalCalls.SIGSEGV, "\"vcpu0\"", "strlen", "Natively")]
    [InlineData("abort natively", SignalCalls.SIGABRT, "SIGABRT (code -6) in thread", "abort", "Endings")]
    [InlineData("abort natively on a vCPU's thread", SignalCalls.SIGABRT, "\"vcpu0\"", "abort", "StartThread")]
    [InlineData("be told to abort", SignalCalls.SIGABRT, "SIGABRT (code -6) in thread", "tgkill", "Endings")]
    [InlineData("execute what is no instruction", SignalCalls.SIGILL, "SIGILL (code 2) at 0x", "Illegally", "Endings")]
    [InlineData("read what its file has no more", SignalCalls.SIGBUS, "SIGBUS (code 2) at 0x", "BeyondTheEnd", "Endings")]
    public void A_native_fault_leaves_signal_address_thread_and_stack(string how, int signal, string head, string function, string caller)
    {
        foreach (string level in (string[])["namespaces", "process"])
        {
            var (code, said) = End(how, level);
            Assert.Equal(FirstSignal + signal, code);
            string[] lines = said.Split('\n');
            Assert.StartsWith("webvm-vmm: ", lines[0], StringComparison.Ordinal);
            Assert.Contains(head, lines[0], StringComparison.Ordinal);
            Assert.Contains(lines[1..], line => line.Contains(function, StringComparison.Ordinal));
            Assert.Contains(lines[2..], line => line.Contains(caller, StringComparison.Ordinal));
            Assert.All(lines[1..], line => Assert.Matches(@"^  0x[0-9a-f]+( \S+\+0x[0-9a-f]+)?$", line));
        }
    }

    [Theory]
    [InlineData("notice null references")]
    [InlineData("notice null references on a vCPU's thread")]
    public void What_the_runtime_notices_by_a_fault_is_told_nobody(string how)
    {
        Assert.Equal((7, ""), End(how, "process"));
    }

    [Fact]
    public void Of_what_a_monitor_says_of_a_fault_nothing_is_repeated_but_numbers_and_letters()
    {
        var (code, said) = End("lie about a fault", "process");
        Assert.Equal(0, code);
        Assert.StartsWith(
            "webvm-vmm: signal 454761243 (code 454761243) at 0x1b1b1b1b1b1b1b1b in thread 454761243 \"????????????????\"\n  "
            + "0x1b1b1b1b1b1b1b1b",
            said, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', said);
    }

    [Fact]
    public void What_is_no_report_is_passed_over()
    {
        var random = new Random(1);
        for (int length = 0; length < 2 * FaultRecord.HeadSize; length++)
        {
            byte[] written = new byte[length];
            random.NextBytes(written);
            var report = new FaultReport();
            report.Append(written);
            Assert.Equal("", report.Describe("/bin/true"));
            if (length >= sizeof(ulong))
            {
                MemoryMarshal.Write(written, FaultRecord.Expected);
                report = new FaultReport();
                report.Append(written);
                Assert.Equal(length >= FaultRecord.HeadSize, report.Describe("/bin/true").Length > 0);
            }
        }
    }

    [Fact]
    public void Without_the_program_and_its_symbols_there_are_the_numbers()
    {
        byte[] written = new byte[FaultRecord.HeadSize];
        MemoryMarshal.Write(written, FaultRecord.Expected);
        foreach (string program in (string[])[Path.Combine(_folder, "gone"), "/bin/true"])
        {
            var report = new FaultReport();
            report.Append(written);
            Assert.Equal("webvm-vmm: signal 0 (code 0) at 0x0 in thread 0 \"\"\n  0x0\n", report.Describe(program));
        }
    }

    /// <summary>Every byte belongs to an instruction, and jumps lead to the beginning of one.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0x1234_5678_9abc)]
    public unsafe void The_handlers_are_instructions(long handler)
    {
        var record = new FaultRecord();
        var handlers = new FaultHandlers(&record, 3);
        foreach (byte[] code in (byte[][])[handlers.Last((nint)handler), handlers.Chained((nint)handler)])
        {
            var decoder = Decoder.Create(64, code);
            List<Instruction> instructions = [];
            while (decoder.IP < (ulong)code.Length)
            {
                instructions.Add(decoder.Decode());
            }

            Assert.DoesNotContain(instructions, instruction => instruction.IsInvalid);
            Assert.Equal(Code.Retnq, instructions[^1].Code);
            var jumps = instructions.Where(
                instruction => instruction.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch);
            Assert.All(jumps, jump => Assert.Contains(instructions, instruction => instruction.IP == jump.NearBranchTarget));
        }
    }

    private (int Code, string Said) End(string how, string level)
    {
        string run = Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("n"))).FullName;
        using var keeper = AttackerProgram.Keep(run, level, [], [], ["end", how]);
        Assert.True(keeper.WaitForExit(TimeSpan.FromMinutes(1)), "it does not end");
        return AttackerProgram.Read(run);
    }
}
