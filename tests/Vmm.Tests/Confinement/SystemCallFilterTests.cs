using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host.Native;
using Xunit;
using static WebVm.Vmm.Host.Native.SeccompCalls;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Vmm.Tests.Confinement;

public sealed class SystemCallFilterTests
{
    private const uint Otherwise = SECCOMP_RET_KILL_PROCESS;

    [Fact]
    public void What_is_listed_is_allowed_and_nothing_else()
    {
        var program = new SystemCallFilter().Allow(SYS_read, "why").Allow(SYS_write, "why").Assemble();
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_read, []));
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_write, []));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_open, []));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, int.MaxValue, []));
    }

    [Fact]
    public void A_call_that_fails_is_told_its_error()
    {
        var program = new SystemCallFilter().Fail(SYS_clone3, ErrorNumber.ENOSYS, "why").Assemble();
        Assert.Equal(SECCOMP_RET_ERRNO | ErrorNumber.ENOSYS, FilterMachine.Judge(program, SYS_clone3, []));
    }

    [Theory]
    [InlineData(0x40000003)] // AUDIT_ARCH_I386: int 0x80
    [InlineData(0xc00000b7)] // AUDIT_ARCH_AARCH64
    public void Calls_of_another_instruction_set_end_the_process(uint architecture) =>
        Assert.Equal(
            SECCOMP_RET_KILL_PROCESS, FilterMachine.Judge(
                new SystemCallFilter().Allow(SYS_read, "why").Assemble(SECCOMP_RET_LOG), SYS_read, [], architecture));

    [Fact]
    public void Calls_of_the_x32_interface_end_the_process() =>
        Assert.Equal(
            SECCOMP_RET_KILL_PROCESS, FilterMachine.Judge(
                new SystemCallFilter().Allow(SYS_read, "why").Assemble(SECCOMP_RET_LOG), SYS_read | 0x40000000, []));

    [Theory]
    [InlineData(5UL, true)]
    [InlineData(7UL, true)]
    [InlineData(9UL, true)]
    [InlineData(6UL, false)]
    [InlineData(0UL, false)]
    [InlineData(0xffff_ffff_0000_0005UL, true)] // an int's register may hold anything above
    public void An_int_is_one_of_several_by_its_lower_half(ulong value, bool allowed) =>
        Decides(ArgumentTest.IsOneOf(1, 5, 7, 9), [0, value], allowed);

    [Theory]
    [InlineData(0b1000UL, true)]
    [InlineData(0b0100UL, false)]
    [InlineData(0b1111UL, false)]
    [InlineData(0x4_0000_0000UL, true)]
    public void Bits_are_refused(ulong value, bool allowed) => Decides(ArgumentTest.HasNone(2, 0b0100), [0, 0, value], allowed);

    [Theory]
    [InlineData(0xae80UL, true)]
    [InlineData(0x1234ae01UL, true)]
    [InlineData(0x5401UL, false)]
    public void Bits_have_a_value(ulong value, bool allowed) => Decides(ArgumentTest.Has(1, 0xff00, 0xae00), [3, value], allowed);

    [Theory]
    [InlineData(0x1234_5678_9abc_def0UL, true)]
    [InlineData(0x9abc_def0UL, false)]
    [InlineData(0x1234_5678_0000_0000UL, false)]
    public void A_wide_argument_is_compared_as_a_whole(ulong value, bool allowed) =>
        Decides(ArgumentTest.IsWide(5, 0x1234_5678_9abc_def0), [0, 0, 0, 0, 0, value], allowed);

    [Fact]
    public void A_call_is_known_by_where_it_comes_from()
    {
        var program = new SystemCallFilter().Allow(SYS_execveat, "why", ArgumentTest.ReturnsTo(0x7123_4567_8014)).Assemble();
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_execveat, [], instructionPointer: 0x7123_4567_8014));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_execveat, [], instructionPointer: 0x4567_8014));
    }

    [Fact]
    public void All_tests_of_a_line_must_hold_and_one_line_of_a_call_is_enough()
    {
        var program = new SystemCallFilter()
            .Allow(SYS_ioctl, "both", ArgumentTest.IsOneOf(0, 3), ArgumentTest.IsOneOf(1, 10, 11))
            .Allow(SYS_read, "between")
            .Fail(SYS_ioctl, ErrorNumber.ENOTTY, "or that", ArgumentTest.IsOneOf(1, 20))
            .Assemble();
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_ioctl, [3, 11]));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_ioctl, [3, 12]));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_ioctl, [4, 11]));
        Assert.Equal(SECCOMP_RET_ERRNO | ErrorNumber.ENOTTY, FilterMachine.Judge(program, SYS_ioctl, [4, 20]));
    }

    [Fact]
    public void Long_lists_are_jumped_over()
    {
        uint[] many = [.. Enumerable.Range(1000, 200).Select(value => (uint)value)];
        var filter = new SystemCallFilter().Allow(SYS_ioctl, "many", ArgumentTest.IsOneOf(1, many))
            .Allow(SYS_ioctl, "more", ArgumentTest.IsOneOf(2, many));
        var program = filter.Allow(SYS_read, "last").Assemble();
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_read, []));
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_ioctl, [0, 1199, 0]));
        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_ioctl, [0, 0, 1000]));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_ioctl, [0, 999, 1200]));
    }

    [Fact]
    public void Every_line_of_the_monitors_lists_has_a_reason() =>
        Assert.All(OuterFilter.Create(0).Rules.Concat(InnerFilter.OfProcess(2, kvm: true).Rules), rule => Assert.NotEmpty(rule.Reason));

    [Fact]
    public void What_a_monitor_is_allowed_inside_it_was_allowed_before()
    {
        var outer = OuterFilter.Create(0).Rules.Where(rule => rule.Action == SECCOMP_RET_ALLOW).Select(rule => rule.Number).ToHashSet();
        Assert.Empty(
            InnerFilter.OfProcess(2, kvm: true).Rules.Where(rule => rule.Action == SECCOMP_RET_ALLOW && !outer.Contains(rule.Number))
                .Select(rule => rule.Number));
    }

    [Fact]
    public unsafe void Threads_are_signalled_in_the_monitors_own_process_alone()
    {
        var program = OuterFilter.Create(0).Assemble();
        fixed (sock_filter* first = program)
        {
            OuterFilter.SetOwnProcess(first, program.Length, 2);
        }

        Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_tgkill, [2, 17, 6]));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_tgkill, [1, 1, 6]));
        Assert.Equal(Otherwise, FilterMachine.Judge(program, SYS_kill, [unchecked((ulong)-1), 9]));
    }

    private static void Decides(ArgumentTest test, ulong[] arguments, bool allowed) =>
        Assert.Equal(
            allowed ? SECCOMP_RET_ALLOW : Otherwise, FilterMachine.Judge(
                new SystemCallFilter().Allow(SYS_ioctl, "why", test).Assemble(), SYS_ioctl, arguments));
}
