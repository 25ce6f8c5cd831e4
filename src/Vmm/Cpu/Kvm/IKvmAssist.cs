namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Completes instructions that KVM met and cannot emulate.</summary>
internal interface IKvmAssist
{
    /// <summary>Executes the instruction that the vCPU stopped at. False when that cannot be done; <see cref="Failure"/> says why.</summary>
    bool Complete(KvmVcpu vcpu);

    string? Failure { get; }
}
