using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>The in-kernel interrupt controllers' and the PIT's state in the form that every engine understands.</summary>
internal sealed unsafe class KvmControllerState
{
    private readonly FileDescriptor _vm;
    private readonly VirtualClock _clock;
    private readonly kvm_irqchip _powerOnPrimary;
    private readonly kvm_irqchip _powerOnSecondary;
    private readonly kvm_irqchip _powerOnIoApic;
    private readonly kvm_pit_state2 _powerOnPit;

    /// <summary>Takes what it finds as the power-on state.</summary>
    public KvmControllerState(FileDescriptor vm, VirtualClock clock)
    {
        _vm = vm;
        _clock = clock;
        _powerOnPrimary = Get(KvmFlags.KVM_IRQCHIP_PIC_MASTER);
        _powerOnSecondary = Get(KvmFlags.KVM_IRQCHIP_PIC_SLAVE);
        _powerOnIoApic = Get(KvmFlags.KVM_IRQCHIP_IOAPIC);
        _powerOnPit = GetPit();
    }

    public InterruptControllerState Save(IReadOnlyList<KvmVcpu> vcpus) => new()
    {
        PrimaryPic = FromKvm(Get(KvmFlags.KVM_IRQCHIP_PIC_MASTER).pic),
        SecondaryPic = FromKvm(Get(KvmFlags.KVM_IRQCHIP_PIC_SLAVE).pic),
        IoApic = FromKvm(Get(KvmFlags.KVM_IRQCHIP_IOAPIC).ioapic),
        Pit = FromKvm(GetPit()),
        LocalApics = [.. vcpus.Select(vcpu => KvmLocalApic.FromKvm(vcpu.GetLapic(), _clock.Now))],
    };

    public void Load(InterruptControllerState state, IReadOnlyList<KvmVcpu> vcpus)
    {
        var primary = Get(KvmFlags.KVM_IRQCHIP_PIC_MASTER);
        ToKvm(state.PrimaryPic, ref primary.pic);
        Set(primary);
        var secondary = Get(KvmFlags.KVM_IRQCHIP_PIC_SLAVE);
        ToKvm(state.SecondaryPic, ref secondary.pic);
        Set(secondary);
        var ioApic = Get(KvmFlags.KVM_IRQCHIP_IOAPIC);
        ToKvm(state.IoApic, ref ioApic.ioapic);
        Set(ioApic);
        SetPit(ToKvm(state.Pit));
        foreach (var (vcpu, local) in vcpus.Zip(state.LocalApics))
        {
            vcpu.SetLapic(KvmLocalApic.ToKvm(local, _clock.Now));
        }
    }

    public void Reset(IReadOnlyList<KvmVcpu> vcpus)
    {
        Set(_powerOnPrimary);
        Set(_powerOnSecondary);
        Set(_powerOnIoApic);
        SetPit(_powerOnPit);
        foreach (var vcpu in vcpus)
        {
            vcpu.ResetLapic();
        }
    }

    /// <summary>KVM's own PIT makes no interrupts while it is told that an HPET does.</summary>
    public void ConnectPit(bool connected)
    {
        var pit = GetPit();
        uint flags = connected ? pit.flags & ~KvmFlags.KVM_PIT_FLAGS_HPET_LEGACY : pit.flags | KvmFlags.KVM_PIT_FLAGS_HPET_LEGACY;
        if (flags != pit.flags)
        {
            pit.flags = flags;
            SetPit(pit);
            if (!connected)
            {
                ForgetMissedTicks();
            }
        }
    }

    private static PicState FromKvm(in kvm_pic_state pic) => new()
    {
        LastLevels = pic.last_irr,
        InterruptRequest = pic.irr,
        Mask = pic.imr,
        InService = pic.isr,
        PriorityAdd = pic.priority_add,
        VectorBase = pic.irq_base,
        ReadInService = pic.read_reg_select != 0,
        Poll = pic.poll != 0,
        SpecialMask = pic.special_mask != 0,
        InitializationStep = pic.init_state == 0 ? (byte)0 : (byte)(pic.init_state + 1),
        AutoEndOfInterrupt = pic.auto_eoi != 0,
        RotateOnAutoEndOfInterrupt = pic.rotate_on_auto_eoi != 0,
        SpecialFullyNested = pic.special_fully_nested_mode != 0,
        ExpectsFourthWord = pic.init4 != 0,
        LevelTriggered = pic.elcr,
    };

    private static void ToKvm(PicState state, ref kvm_pic_state pic)
    {
        pic.last_irr = state.LastLevels;
        pic.irr = state.InterruptRequest;
        pic.imr = state.Mask;
        pic.isr = state.InService;
        pic.priority_add = (byte)(state.PriorityAdd & 7);
        pic.irq_base = state.VectorBase;
        pic.read_reg_select = Flag(state.ReadInService);
        pic.poll = Flag(state.Poll);
        pic.special_mask = Flag(state.SpecialMask);

        // KVM counts the words that have come (1 after ICW1), we name the one that comes next.
        pic.init_state = state.InitializationStep == 0 ? (byte)0 : (byte)(state.InitializationStep - 1);
        pic.auto_eoi = Flag(state.AutoEndOfInterrupt);
        pic.rotate_on_auto_eoi = Flag(state.RotateOnAutoEndOfInterrupt);
        pic.special_fully_nested_mode = Flag(state.SpecialFullyNested);
        pic.init4 = Flag(state.ExpectsFourthWord);
        pic.elcr = state.LevelTriggered;
    }

    private static IoApicState FromKvm(in kvm_ioapic_state ioApic)
    {
        var redirection = new ulong[KvmFlags.KVM_IOAPIC_NUM_PINS];
        for (int pin = 0; pin < redirection.Length; pin++)
        {
            redirection[pin] = ioApic.redirtbl[pin];
        }

        return new IoApicState { Id = (byte)ioApic.id, Index = (byte)ioApic.ioregsel, InterruptRequest = ioApic.irr,
            Redirection = redirection };
    }

    private static void ToKvm(IoApicState state, ref kvm_ioapic_state ioApic)
    {
        ioApic.id = state.Id;
        ioApic.ioregsel = state.Index;
        ioApic.irr = state.InterruptRequest;
        for (int pin = 0; pin < KvmFlags.KVM_IOAPIC_NUM_PINS; pin++)
        {
            ioApic.redirtbl[pin] = pin < state.Redirection.Count ? state.Redirection[pin] : 1UL << 16; // masked
        }
    }

    private PitState FromKvm(in kvm_pit_state2 pit) => new()
    {
        Channels = [FromKvm(pit.channel0), FromKvm(pit.channel1), FromKvm(pit.channel2)],
        SpeakerDataOn = (pit.flags & KvmFlags.KVM_PIT_FLAGS_SPEAKER_DATA_ON) != 0,
    };

    private PitChannelState FromKvm(in kvm_pit_channel_state channel) => new()
    {
        Count = channel.count == 0 ? 65536 : (int)channel.count,
        LatchedCount = channel.latched_count,
        CountLatched = channel.count_latched,
        StatusLatched = channel.status_latched != 0,
        Status = channel.status,
        ReadState = channel.read_state,
        WriteState = channel.write_state,
        WriteLatch = channel.write_latch,
        AccessMode = channel.rw_mode,
        Mode = channel.mode,
        Bcd = channel.bcd != 0,
        Gate = channel.gate != 0,

        // KVM notes host time (CLOCK_MONOTONIC).
        LoadedAt = channel.count_load_time + _clock.Now - System.Diagnostics.Stopwatch.GetTimestamp(),
    };

    private kvm_pit_state2 ToKvm(PitState state) => new()
    {
        channel0 = ToKvm(state.Channels[0]),
        channel1 = ToKvm(state.Channels[1]),
        channel2 = ToKvm(state.Channels[2]),
        flags = state.SpeakerDataOn ? KvmFlags.KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0,
    };

    private kvm_pit_channel_state ToKvm(PitChannelState state) => new()
    {
        count = (uint)state.Count,
        latched_count = state.LatchedCount,
        count_latched = state.CountLatched,
        status_latched = Flag(state.StatusLatched),
        status = state.Status,
        read_state = state.ReadState,
        write_state = state.WriteState,
        write_latch = state.WriteLatch,
        rw_mode = state.AccessMode,
        mode = state.NullCount ? (byte)0xff : state.Mode, // as KVM itself leaves a channel without a count
        bcd = Flag(state.Bcd),
        gate = Flag(state.Gate),
        count_load_time = state.LoadedAt - _clock.Now + System.Diagnostics.Stopwatch.GetTimestamp(),
    };

    private static byte Flag(bool value) => value ? (byte)1 : (byte)0;

    private kvm_irqchip Get(uint chip)
    {
        var state = new kvm_irqchip { chip_id = chip };
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_GET_IRQCHIP, &state, nameof(KvmRequests.KVM_GET_IRQCHIP));
        return state;
    }

    private void Set(kvm_irqchip state) =>
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_IRQCHIP, &state, nameof(KvmRequests.KVM_SET_IRQCHIP));

    private kvm_pit_state2 GetPit()
    {
        kvm_pit_state2 state;
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_GET_PIT2, &state, nameof(KvmRequests.KVM_GET_PIT2));
        return state;
    }

    private void SetPit(kvm_pit_state2 state) =>
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_PIT2, &state, nameof(KvmRequests.KVM_SET_PIT2));

    /// <summary>
    /// KVM delivers ticks late that the guest has missed, also of a PIT that makes none any more. It forgets them when its timer is set,
    /// which it is not while an HPET replaces it, or when it begins to count them anew.
    /// </summary>
    private void ForgetMissedTicks()
    {
        for (byte reinject = 0; reinject <= 1; reinject++)
        {
            var control = new kvm_reinject_control { pit_reinject = reinject };
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_REINJECT_CONTROL, &control, nameof(KvmRequests.KVM_REINJECT_CONTROL));
        }
    }
}
