namespace WebVm.Vmm.Cpu.State;

/// <summary>
/// Numbers of the model-specific registers that exist here (SDM Vol. 4, table 2-2); <see cref="Features.CpuFeature.All"/> says what each
/// comes with.
/// </summary>
internal static class Msr
{
    public const uint TimeStampCounter = 0x10;
    public const uint PlatformId = 0x17;
    public const uint SmiCount = 0x34;
    public const uint FeatureControl = 0x3a;
    public const uint TscAdjust = 0x3b;
    public const uint SpecCtrl = 0x48;
    public const uint PredictionCommand = 0x49;
    public const uint BiosSignature = 0x8b;
    public const uint MtrrCap = 0xfe;
    public const uint ArchCapabilities = 0x10a;
    public const uint FlushCommand = 0x10b;
    public const uint SysenterCs = 0x174;
    public const uint SysenterEsp = 0x175;
    public const uint SysenterEip = 0x176;
    public const uint MachineCheckCapabilities = 0x179;
    public const uint MachineCheckStatus = 0x17a;
    public const uint MiscEnable = 0x1a0;
    public const uint DebugControl = 0x1d9;
    public const uint MtrrVariableFirst = 0x200;
    public const uint MtrrVariableLast = 0x20f;
    public const uint MtrrFixed64K = 0x250;
    public const uint MtrrFixed16KFirst = 0x258;
    public const uint MtrrFixed16KLast = 0x259;
    public const uint MtrrFixed4KFirst = 0x268;
    public const uint MtrrFixed4KLast = 0x26f;
    public const uint Pat = 0x277;
    public const uint MtrrDefaultType = 0x2ff;
    public const uint Pkrs = 0x6e1;
    public const uint Xss = 0xda0;

    // AMD's (APM Vol. 2 appendix A): SYSCFG, HWCR, NB_CFG1, interrupt pending message, DE_CFG.
    public const uint SystemConfiguration = 0xc001_0010;
    public const uint HardwareConfiguration = 0xc001_0015;
    public const uint NorthbridgeConfiguration = 0xc001_001f;
    public const uint InterruptPendingMessage = 0xc001_0055;
    public const uint DecodeConfiguration = 0xc001_1029;

    public const uint Efer = 0xc000_0080;
    public const uint Star = 0xc000_0081;
    public const uint Lstar = 0xc000_0082;
    public const uint Cstar = 0xc000_0083;
    public const uint Sfmask = 0xc000_0084;
    public const uint FsBase = 0xc000_0100;
    public const uint GsBase = 0xc000_0101;
    public const uint KernelGsBase = 0xc000_0102;
    public const uint TscAux = 0xc000_0103;
}
