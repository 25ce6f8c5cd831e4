using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Machine.Saving;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

public sealed unsafe class VcpuStateJsonTests
{
    /// <summary>Constant, derived from others on load, or written in parts under other names.</summary>
    private static readonly string[] s_elsewhere = ["Zero", "FourGigabytes", "Segments", "Msr", "TscOffset"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Every_register_survives(int seed)
    {
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        var read = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        try
        {
            new Random(seed).NextBytes(new Span<byte>(state, sizeof(CpuState)));
            state->Activity = VcpuActivity.Halted;
            state->InterruptShadow = 1;
            state->NmiBlocked = state->NmiPending = state->PendingInit = state->PendingEventHasErrorCode = 1;
            state->PendingSipi = 0x112;
            state->PendingEvent = 0x10e;
            state->PendingEventType = 3;
            for (var index = SegmentIndex.Es; index <= SegmentIndex.Tr; index++)
            {
                state->Segments[index].Attributes &= (SegmentAttributes)0x1_ffff;
            }

            string first = VcpuStateJson.Write(state).ToJsonString();
            VcpuStateJson.Read(JsonSerializer.Deserialize<JsonElement>(first), read);
            Assert.Equal(first, VcpuStateJson.Write(read).ToJsonString());
            Assert.Equal(state->Gpr[15], read->Gpr[15]);
            Assert.Equal(state->Msr.MtrrVariable[15], read->Msr.MtrrVariable[15]);
            Assert.Equal(state->Segments[SegmentIndex.Gs].Base, read->Segments[SegmentIndex.Gs].Base);
        }
        finally
        {
            NativeMemory.AlignedFree(state);
            NativeMemory.AlignedFree(read);
        }
    }

    [Fact]
    public void No_field_of_the_state_is_forgotten()
    {
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        NativeMemory.Clear(state, (nuint)sizeof(CpuState));
        var written = VcpuStateJson.Write(state).Select(entry => entry.Key).ToHashSet();
        NativeMemory.AlignedFree(state);
        var fields = typeof(CpuState).GetFields(BindingFlags.Public | BindingFlags.Instance)
            .Concat(typeof(ModelSpecificRegisters).GetFields(BindingFlags.Public | BindingFlags.Instance));
        Assert.Equal(
            [], fields.Select(field => field.Name).Except(s_elsewhere)
                .Where(name => !written.Contains(JsonNamingPolicy.CamelCase.ConvertName(name))));
    }

    [Theory]
    [InlineData("""{}""")]
    [InlineData("""[]""")]
    [InlineData("""{"rip":1}""")]
    [InlineData("""{"rip":"0x"}""")]
    [InlineData("""{"rip":"0x11111111111111111"}""")]
    public void What_is_no_state_is_refused(string json)
    {
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        Assert.Throws<InvalidDataException>(() => VcpuStateJson.Read(JsonSerializer.Deserialize<JsonElement>(json), state));
        NativeMemory.AlignedFree(state);
    }
}
