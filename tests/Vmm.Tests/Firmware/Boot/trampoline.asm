; A 64 KiB firmware image for QEMU's q35 machine that puts its processor into the state of a BootPlan and enters the kernel that was
; loaded into memory beforehand. The values come from the command line of nasm: ENTRY, GDT, CR0, CR3, CR4, EFER, RAX, RBX, RSI, CODE, DATA, TASK.
; Only the chipset registers are set up that real firmware leaves ready: ACPI ports, ECAM, SCI_EN.

bits 16
org 0

%macro config 3                         ; bus address and register, width, value
    mov eax, %1
    mov dx, 0xcf8
    out dx, eax
    mov dx, 0xcfc
    mov eax, %3
    out dx, %2
%endmacro

    times 0xff00 db 0                   ; the test's tables at 0xf0000 show through here
start:
    cli
    config 0x80000060, eax, 0xe0000001  ; PCIEXBAR: 256 MiB at 0xe0000000
    config 0x8000f840, eax, 0x601       ; PMBASE
    config 0x8000f844, al, 0x80         ; ACPI_CNTL: enable
    mov al, 2                           ; ICH9_APM_ACPI_ENABLE sets SCI_EN
    out 0xb2, al
    o32 lgdt [cs:boot_gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:(0xffff0000 + protected)

bits 32
protected:
    mov eax, 16
    mov ds, eax
    mov eax, CR4
    mov cr4, eax
    mov eax, CR3
    mov cr3, eax
%if EFER
    mov ecx, 0xc0000080
    mov eax, EFER & 0x100
    xor edx, edx
    wrmsr
%endif
    mov eax, CR0
    mov cr0, eax
    lgdt [0xffff0000 + plan_gdtr]
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov eax, RAX
    mov ebx, RBX
    mov esi, RSI
    xor ecx, ecx
    xor edx, edx
    xor edi, edi
    xor ebp, ebp
    jmp CODE:ENTRY

align 8
boot_gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    dw $ - boot_gdt - 1
    dd 0xffff0000 + boot_gdt
plan_gdtr:
    dw 47
    dd GDT

    times 0xfff0 - ($ - $$) db 0
bits 16
    jmp start
    times 0x10000 - ($ - $$) db 0
