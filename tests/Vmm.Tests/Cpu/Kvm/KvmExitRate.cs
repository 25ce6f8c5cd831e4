using System.Diagnostics;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>Exits per second of a guest that does nothing but OUT, through our engine.</summary>
internal static class KvmExitRate
{
    /// <summary>Exits per second of the engine's loop, a port handler called for each.</summary>
    public static double Ours(int exits)
    {
        using var guest = new KvmGuest();
        guest.Load("mov dx, 0x500\n again: out dx, al\n jmp again");
        var counting = new CountingBus(exits);
        using var engine = new WebVm.Vmm.Cpu.Kvm.KvmEngine(guest.Memory, counting, guest.Clock);
        using var vcpu = engine.CreateVcpu(0, CpuPlace.Alone);
        byte[] state = new byte[System.Runtime.CompilerServices.Unsafe.SizeOf<WebVm.Vmm.Cpu.State.CpuState>()];
        guest.SaveCpu(state);
        unsafe
        {
            fixed (byte* bytes = state)
            {
                vcpu.Load((WebVm.Vmm.Cpu.State.CpuState*)bytes);
            }
        }

        counting.Vcpu = vcpu;
        vcpu.Run();
        counting.Reset();
        long start = Stopwatch.GetTimestamp();
        vcpu.Run();
        return exits / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private sealed class CountingBus(int exits) : IGuestBus
    {
        private int _count;

        public IVirtualCpu? Vcpu { get; set; }

        public void Reset() => _count = 0;

        public uint ReadPort(ushort port, int size) => 0;

        public void WritePort(ushort port, int size, uint value)
        {
            if (++_count == exits)
            {
                Vcpu!.Kick();
            }
        }

        public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

        public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
        {
        }
    }
}
