; A Multiboot kernel that reports on COM1 what its loader gave it: the command line, the memory map, the modules. Then it powers the
; machine off through ACPI (SLP_TYP 5) and, where that does nothing, halts.
; Assembled as a flat binary with the header's address fields; -DELF makes it an object for ld instead.

bits 32
%ifndef ELF
org 0x100000
%endif

section .text
global start

header:
    dd 0x1badb002
%ifdef ELF
    FLAGS equ 3
%else
    FLAGS equ 0x10003
%endif
    dd FLAGS
    dd -(0x1badb002 + FLAGS)
%ifndef ELF
    dd header, header, image_end, bss_end, start
%endif

start:
    mov esp, stack_top
    mov ebp, eax
    mov esi, ebx
    mov al, 0x80                        ; 115200 8N1, FIFOs on
    mov edx, 0x3fb
    out dx, al
    mov al, 1
    mov edx, 0x3f8
    out dx, al
    xor al, al
    inc edx
    out dx, al
    mov al, 3
    mov edx, 0x3fb
    out dx, al
    mov al, 7
    dec edx
    out dx, al

    mov edi, text_magic
    call print
    mov eax, ebp
    call print_hex
    mov edi, text_command_line
    call print
    mov edi, [esi + 16]
    call print
    mov edi, text_loader
    call print
    mov edi, [esi + 64]
    call print
    mov edi, text_upper
    call print
    mov eax, [esi + 8]
    call print_hex

    mov ebx, [esi + 48]                 ; memory map
    mov ecx, [esi + 44]
    add ecx, ebx
.entry:
    cmp ebx, ecx
    jae .modules
    mov edi, text_map
    call print
    mov eax, [ebx + 8]
    call print_hex
    mov eax, [ebx + 4]
    call print_hex
    mov edi, text_plus
    call print
    mov eax, [ebx + 16]
    call print_hex
    mov eax, [ebx + 12]
    call print_hex
    mov edi, text_type
    call print
    mov eax, [ebx + 20]
    call print_hex
    add ebx, [ebx]
    add ebx, 4
    jmp .entry

.modules:
    test dword [esi], 1 << 3
    jz .done
    mov ecx, [esi + 20]
    mov ebx, [esi + 24]
.module:
    jecxz .done
    mov edi, text_module
    call print
    mov edi, [ebx + 8]
    call print
    mov edi, text_equals
    call print
    mov edi, [ebx]
    call print
    add ebx, 16
    dec ecx
    jmp .module

.done:
    mov edi, text_done
    call print
    mov edx, 0x604                      ; PM1a control: SLP_TYP 5, SLP_EN
    mov ax, (5 << 10) | (1 << 13)
    out dx, ax
.halt:
    hlt
    jmp .halt

print:                                  ; NUL-terminated text at EDI
    push eax
.next:
    mov al, [edi]
    inc edi
    test al, al
    jz .end
    call put
    jmp .next
.end:
    pop eax
    ret

print_hex:                              ; EAX as eight digits
    push ecx
    push eax
    mov ecx, 8
.digit:
    rol eax, 4
    push eax
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe .plain
    add al, 'a' - '9' - 1
.plain:
    call put
    pop eax
    loop .digit
    pop eax
    pop ecx
    ret

put:                                    ; AL to COM1
    push edx
    push eax
    mov edx, 0x3fd
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    pop eax
    mov edx, 0x3f8
    out dx, al
    pop edx
    ret

section .data
text_magic:        db "multiboot magic ", 0
text_command_line: db 13, 10, "command line: ", 0
text_loader:       db 13, 10, "loader: ", 0
text_upper:        db 13, 10, "upper KiB ", 0
text_map:          db 13, 10, "map ", 0
text_plus:         db " + ", 0
text_type:         db " type ", 0
text_module:       db 13, 10, "module ", 0
text_equals:       db " = ", 0
text_done:         db 13, 10, "multiboot done", 13, 10, 0
%ifndef ELF
align 16
image_end:
%endif

section .bss
    resb 4096
stack_top:
%ifndef ELF
bss_end:
%endif
