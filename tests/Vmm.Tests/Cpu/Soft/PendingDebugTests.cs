using System.Runtime.InteropServices;
using System.Text.Json;
using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Machine.Saving;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>
/// Debug conditions that wait behind a load of SS, and what they meet there: an instruction that delivers an event itself (SDM Vol. 3A
/// §6.8.3, Vol. 3C §26.6.3). Each pair runs at CPL 3 in compatibility mode, where both POP SS and INTO exist.
/// </summary>
public sealed unsafe class PendingDebugTests
{
    private const ulong Idt = 0x4000;
    private const ulong Tss = 0x6000;
    private const ulong Handlers = 0x28_0000;
    private const ulong HandlerSize = 64;
    private const ulong UserCode = 0x30_0000;
    private const ulong UserStack = 0x78_0000;
    private const ulong KernelEntry = 0x2c_0000;
    private const ulong Log = 0x50_0000;
    private const ulong LogPointer = 0x4f_0000;
    private const byte End = 0x30;

    /// <summary>The instruction that loads SS (or opens the other shadow), by the register that its second is found at.</summary>
    private static readonly Dictionary<string, Action<Assembler>> s_firsts = new()
    {
        ["MOV SS"] = a => a.db(0x8e, 0x15, 0x08, 0x00, 0x4f, 0x00) /* mov ss, [LogPointer + 8] */,
        ["POP SS"] = a => a.pop(ss),
        ["STI"] = a => a.sti(),
        ["NOP"] = a => a.nop(),
    };

    /// <summary>Second instructions, with what they deliver themselves: a vector, whether it is a fault, or an entry point.</summary>
    private static readonly Dictionary<string, (Action<Assembler> Code, int Vector, bool Fault)> s_seconds = new()
    {
        ["INT3"] = (a => a.int3(), 3, false),
        ["INT n"] = (a => a.@int(0x21), 0x21, false),
        ["INT 1"] = (a => a.@int(1), 1, false),
        ["INTO"] = (a => a.into(), 4, false),
        ["INT1"] = (a => a.int1(), 1, false),
        ["SYSENTER"] = (a => a.sysenter(), -1, false),
        ["SYSCALL"] = (a => a.syscall(), 6, true),
        ["UD2"] = (a => a.ud2(), 6, true),
        ["page fault"] = (a => a.db(0xa1, 0x00, 0x00, 0x00, 0x70) /* mov eax, [0x70000000] */, 14, true),
        ["HLT"] = (a => a.hlt(), 13, true),
        ["NOP"] = (a => a.nop(), -2, false),
    };

    public static TheoryData<string, string> LoadsOfSs()
    {
        var pairs = new TheoryData<string, string>();
        foreach (string first in (string[])["MOV SS", "POP SS"])
        {
            foreach (string second in s_seconds.Keys)
            {
                pairs.Add(first, second);
            }
        }

        return pairs;
    }

    [Theory]
    [MemberData(nameof(LoadsOfSs))]
    public void A_data_breakpoint_that_waits_behind_a_load_of_SS_is_delivered_once_and_in_its_place(string first, string second)
    {
        using var run = new Run(first, second);
        run.BreakOnSelector();
        var (_, vector, fault) = s_seconds[second];
        (int, ulong)[] expected = fault
            ? [(vector, run.Second)]
            : vector switch
            {
                // INT1 delivers what waits, and nothing is left.
                1 when second == "INT1" => [(1, run.Third)],
                -1 => [(1, KernelEntry), (-1, 0)],
                -2 => [(1, run.Third)],
                _ => [(1, HandlerOf(vector)), (vector, run.Third)],
            };
        Assert.Equal(expected, run.Events(expected.Length));
        if (!fault)
        {
            Assert.Equal(1UL, run.Dr6(0) & 0xf);
        }
    }

    [Theory]
    [MemberData(nameof(LoadsOfSs))]
    public void A_code_breakpoint_behind_a_load_of_SS_is_held_back(string first, string second)
    {
        using var run = new Run(first, second);
        run.BreakOnSecond();
        var (_, vector, fault) = s_seconds[second];
        var events = run.Events(1);
        Assert.Equal(vector == -2 ? (End, run.Third + 2) : vector == -1 ? (-1, 0UL) : (vector, fault ? run.Second : run.Third), events[0]);
    }

    [Theory]
    [MemberData(nameof(LoadsOfSs))]
    public void The_single_step_of_a_load_of_SS_is_lost_and_that_of_the_next_is_not(string first, string second)
    {
        using var run = new Run(first, second) { TrapFlag = true };
        var (_, vector, fault) = s_seconds[second];
        (int, ulong) expected = vector switch
        {
            -2 => (1, run.Third),

            // SYSENTER leaves TF alone: it traps at the entry.
            -1 => (1, KernelEntry),
            _ => (vector, fault ? run.Second : run.Third),
        };
        Assert.Equal(expected, run.Events(1)[0]);
        Assert.Equal(vector < 0 ? 0x4000UL : 0, run.Dr6(0) & 0x4000);
    }

    [Theory]
    [InlineData("STI")]
    [InlineData("NOP")]
    public void Elsewhere_code_breakpoints_hit_and_steps_are_taken(string first)
    {
        using var broken = new Run(first, "NOP");
        broken.BreakOnSecond();
        Assert.Equal((1, broken.Second), broken.Events(1)[0]);

        using var stepped = new Run(first, "NOP") { TrapFlag = true };
        Assert.Equal((1, stepped.Second), stepped.Events(1)[0]);
    }

    [Fact]
    public void Breakpoints_of_earlier_debug_exceptions_are_gone_from_DR6_and_the_rest_stays()
    {
        using var run = new Run("NOP", "NOP");
        run.Cpu->State.Dr[6] = 0xffff_0ff0 | 0x800e;
        run.BreakOnSecond();
        run.Events(1);
        Assert.Equal(0xffff_0ff0UL | 0x8001, run.Dr6(0));
    }

    [Fact]
    public void What_an_instruction_met_before_it_faults_is_forgotten()
    {
        // PUSH reads its operand, where the breakpoint is, and cannot write the stack.
        using var run = new Run(a => a.db(0xff, 0x35, 0x08, 0x00, 0x4f, 0x00), a => a.nop());
        run.BreakOnSelector();
        run.StackPointer = 0x7000_0000;
        Assert.Equal([(14, UserCode)], run.Events(1));
        Assert.Equal(0UL, run.Dr6(0) & 0xf);
    }

    [Theory]
    [InlineData("MOV SS")]
    [InlineData("POP SS")]
    public void A_condition_that_waits_is_kept_when_the_processor_is_saved_at_that_moment(string first)
    {
        using var run = new Run(first, "NOP") { SavedAfterFirst = true };
        run.BreakOnSelector();
        Assert.Equal([(1, run.Third)], run.Events(1));
        Assert.Equal(1UL, run.Dr6(0) & 0xf);
    }

    [Fact]
    public void A_fault_ends_the_shadow_of_a_load_of_SS()
    {
        using var run = new Run("MOV SS", "UD2");
        run.Events(1);
        Assert.Equal(0, run.ShadowAtEnd);
    }

    private static ulong HandlerOf(int vector) => Handlers + ((ulong)vector * HandlerSize);

    /// <summary>A program of two instructions, an INT that ends it, and handlers that write down what they were called for.</summary>
    private sealed class Run : IDisposable
    {
        private readonly LongModeProcessor _machine = new();
        private bool _ran;

        public Run(string first, string second)
            : this(s_firsts[first], s_seconds[second].Code)
        {
        }

        public Run(Action<Assembler> first, Action<Assembler> second)
        {
            _machine.Place(first, UserCode, 32);
            Second = UserCode + Length(first, UserCode);
            _machine.Place(second, Second, 32);
            Third = Second + Length(second, Second);
            _machine.Place([0xcd, End, 0xeb, 0xfe], Third);
            _machine.Write(LogPointer, Log);
            _machine.Write(LogPointer + 8, 0x23UL);
            _machine.Write(UserStack, 0x23UL);
            for (int vector = 0; vector < 64; vector++)
            {
                PlaceHandler(vector);
            }

            PlaceEntry();
            ref var state = ref _machine.Cpu->State;
            state.Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0xfff };
            _machine.Write(Tss + 4, LongModeProcessor.Stack);
            state.Segments[SegmentIndex.Tr] = new SegmentRegister { Selector = 0x40, Base = Tss, Limit = 0x67,
                Attributes = (SegmentAttributes)0x8b };
            state.Segments[SegmentIndex.Ds] = new SegmentRegister { Selector = 0x23, Limit = uint.MaxValue,
                Attributes = (SegmentAttributes)0xc0f3 };
            state.Msr.Star = 8UL << 32;
            state.Msr.SysenterCs = 8;
            state.Msr.SysenterEip = KernelEntry;
            state.Msr.SysenterEsp = LongModeProcessor.Stack;
            _machine.Cpu->Vendor = CpuVendor.Intel;
        }

        public CpuContext* Cpu => _machine.Cpu;

        public ulong Second { get; }

        public ulong Third { get; }

        public bool TrapFlag { get; init; }

        /// <summary>Behind the first instruction the processor is saved and goes on from what was written.</summary>
        public bool SavedAfterFirst { get; init; }

        public ulong StackPointer { get; set; } = UserStack;

        public byte ShadowAtEnd => _machine.Cpu->State.InterruptShadow;

        /// <summary>DR0 on the memory that the first instruction reads.</summary>
        public void BreakOnSelector()
        {
            bool pops = _machine.Read<byte>(UserCode) == 0x17;
            Break(pops ? UserStack : LogPointer + 8, 3);
        }

        public void BreakOnSecond() => Break(Second, 0);

        /// <summary>
        /// The first vectors that were delivered, each with the program counter that it would return to; -1 is SYSENTER's entry.
        /// </summary>
        public (int Vector, ulong Rip)[] Events(int count)
        {
            if (!_ran)
            {
                _ran = true;
                Enter();
            }

            ulong end = _machine.Read<ulong>(LogPointer);
            Assert.True(end >= Log + ((ulong)count * 24), $"only {(end - Log) / 24} events");
            return [.. Enumerable.Range(0, count)
                .Select(i => (_machine.Read<int>(Log + ((ulong)i * 24)), _machine.Read<ulong>(Log + ((ulong)i * 24) + 8)))];
        }

        /// <summary>DR6 as the n-th event's handler found it.</summary>
        public ulong Dr6(int index) => _machine.Read<ulong>(Log + ((ulong)index * 24) + 16);

        public void Dispose() => _machine.Dispose();

        private void Break(ulong address, ulong kind)
        {
            _machine.Cpu->State.Dr[0] = address;
            _machine.Cpu->State.Dr[7] = 0x401 | (kind << 16);
            _machine.Vcpu.StateReplaced();
        }

        private void Enter()
        {
            // OF for INTO; IOPL 3 for STI.
            int flags = 0x3802 | (TrapFlag ? 0x100 : 0);
            _machine.Place(a =>
            {
                a.push(0x23);
                a.push((int)StackPointer);
                a.push(flags);
                a.push(0x1b);
                a.push((int)UserCode);
                a.iretq();
            });
            if (SavedAfterFirst)
            {
                const int StepsToSecond = 7;
                Assert.Equal(StepsToSecond, _machine.Vcpu.Step(StepsToSecond, out _));
                Assert.Equal(Second, Cpu->State.Rip);
                SaveAndLoad();
            }

            Assert.Equal(VcpuExit.Kicked, _machine.RunToHalt());
        }

        private void SaveAndLoad()
        {
            var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
            _machine.Vcpu.Save(state);
            string saved = VcpuStateJson.Write(state).ToJsonString();
            NativeMemory.Clear(state, (nuint)sizeof(CpuState));
            VcpuStateJson.Read(JsonSerializer.Deserialize<JsonElement>(saved), state);
            _machine.Vcpu.Load(state);
            NativeMemory.AlignedFree(state);
        }

        private static ulong Length(Action<Assembler> code, ulong at)
        {
            var assembler = new Assembler(32);
            code(assembler);
            using var stream = new MemoryStream();
            assembler.Assemble(new StreamCodeWriter(stream), at);
            return (ulong)stream.Length;
        }

        private void PlaceHandler(int vector)
        {
            ulong at = HandlerOf(vector);
            bool hasCode = vector is 8 or (>= 10 and <= 14) or 17;
            bool ends = vector == End || hasCode || vector == 6;
            _machine.Place(
                a =>
                {
                    a.push(rax);
                    a.push(rbx);
                    a.mov(ebx, __dword_ptr[LogPointer]);
                    a.mov(__dword_ptr[rbx], vector);
                    a.mov(rax, __[rsp + (hasCode ? 24 : 16)]);
                    a.mov(__[rbx + 8], rax);
                    a.mov(rax, dr6);
                    a.mov(__[rbx + 16], rax);
                    a.add(__dword_ptr[LogPointer], 24);
                    a.jmp(Tail + (ends ? 0UL : 16UL));
                },
                at);
            _machine.Write(Idt + ((ulong)vector * 16), (at & 0xffff) | (8UL << 16) | (0xeeUL << 40) | ((at >> 16) << 48));
            _machine.Write(Idt + ((ulong)vector * 16) + 8, at >> 32);
        }

        private const ulong Tail = Handlers - 0x1000;

        private void PlaceEntry()
        {
            _machine.Place([0xf4], Tail);
            _machine.Place(
                a =>
                {
                    a.pop(rbx);
                    a.pop(rax);

                    // Steps once.
                    a.and(__qword_ptr[rsp + 16], -0x101);
                    a.iretq();
                },
                Tail + 16);
            _machine.Place(
                a =>
                {
                    a.mov(ebx, __dword_ptr[LogPointer]);
                    a.mov(__dword_ptr[rbx], -1);
                    a.add(__dword_ptr[LogPointer], 24);
                    a.hlt();
                },
                KernelEntry);
        }
    }
}
