# Folders that are named on the command line or in the environment stand in make's lists and the shell's words as they
# are: what either would expand is refused, before it is expanded. A recipe includes this first.

OPEN := (
CLOSE := )
SIGNS := : % ; & * ? \ ' " < > | ` $$ { } [ ] $(OPEN) $(CLOSE)
GIVEN = $(if $(filter-out undefined default file,$(origin $1)),$(value $1))
REFUSE = $(error $1=$(value $1): make cannot work in folders with $2)
$(foreach name,OUT DATA, \
  $(if $(word 2,$(call GIVEN,$(name))),$(call REFUSE,$(name),blanks)) \
  $(if $(filter -%,$(call GIVEN,$(name))),$(call REFUSE,$(name),- in front)) \
  $(foreach sign,$(SIGNS),$(if $(findstring $(sign),$(call GIVEN,$(name))),$(call REFUSE,$(name),$(sign)))))
