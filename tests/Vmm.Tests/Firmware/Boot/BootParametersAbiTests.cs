using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Tests.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

public sealed class BootParametersAbiTests
{
    [Fact]
    public void Every_offset_in_boot_params_is_that_of_the_kernels_header()
    {
        var program = new CHeaderProbe();
        program.Include("asm/bootparam.h", "linux/screen_info.h");
        program.Expect("sizeof(struct boot_params)", LinuxBootParameters.Size);
        (string Field, int Offset)[] fields =
        [
            ("screen_info.orig_video_isVGA", 0x0f),
            ("screen_info.lfb_width", 0x12),
            ("screen_info.lfb_height", 0x14),
            ("screen_info.lfb_depth", 0x16),
            ("screen_info.lfb_base", 0x18),
            ("screen_info.lfb_size", 0x1c),
            ("screen_info.lfb_linelength", 0x24),
            ("screen_info.red_size", 0x26),
            ("screen_info.red_pos", 0x27),
            ("screen_info.green_size", 0x28),
            ("screen_info.blue_size", 0x2a),
            ("screen_info.rsvd_pos", 0x2d),
            ("screen_info.pages", 0x32),
            ("screen_info.capabilities", 0x36),
            ("screen_info.ext_lfb_base", LinuxBootParameters.ExtVideoBase),
            ("acpi_rsdp_addr", LinuxBootParameters.AcpiRootPointer),
            ("ext_ramdisk_image", LinuxBootParameters.ExtRamdiskImage),
            ("ext_ramdisk_size", LinuxBootParameters.ExtRamdiskSize),
            ("ext_cmd_line_ptr", LinuxBootParameters.ExtCommandLine),
            ("e820_entries", LinuxBootParameters.MapEntryCount),
            ("sentinel", 0x1ef),
            ("hdr", (int)LinuxSetupHeader.Start),
            ("hdr.vid_mode", LinuxBootParameters.VideoMode),
            ("hdr.boot_flag", 0x1fe),
            ("hdr.header", 0x202),
            ("hdr.version", 0x206),
            ("hdr.type_of_loader", LinuxBootParameters.TypeOfLoader),
            ("hdr.loadflags", LinuxBootParameters.LoadFlags),
            ("hdr.code32_start", LinuxBootParameters.Code32Start),
            ("hdr.ramdisk_image", LinuxBootParameters.RamdiskImage),
            ("hdr.ramdisk_size", LinuxBootParameters.RamdiskSize),
            ("hdr.cmd_line_ptr", LinuxBootParameters.CommandLinePointer),
            ("hdr.initrd_addr_max", 0x22c),
            ("hdr.kernel_alignment", 0x230),
            ("hdr.relocatable_kernel", 0x234),
            ("hdr.xloadflags", 0x236),
            ("hdr.cmdline_size", 0x238),
            ("hdr.payload_offset", 0x248),
            ("hdr.setup_data", LinuxBootParameters.SetupData),
            ("hdr.pref_address", 0x258),
            ("hdr.init_size", 0x260),
            ("e820_table", LinuxBootParameters.MapTable),
        ];
        foreach (var (field, offset) in fields)
        {
            program.Expect($"offsetof(struct boot_params, {field})", offset);
        }

        program.Expect("sizeof(struct boot_e820_entry)", LinuxBootParameters.MapEntrySize);
        program.Expect("E820_MAX_ENTRIES_ZEROPAGE", LinuxBootParameters.MapEntriesMax);
        program.Expect("sizeof(struct setup_data)", 16);
        program.Expect("SETUP_RNG_SEED", 9);
        program.Expect("VIDEO_TYPE_EFI", 0x70);
        program.Expect("VIDEO_CAPABILITY_64BIT_BASE", 2);
        program.Expect("XLF_KERNEL_64", 1);

        Assert.Empty(program.Differences());
    }
}
